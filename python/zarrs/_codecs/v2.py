"""The one codec of format 2, zarr's object around filters and a compressor of numcodecs, as a chain for the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs.bitround
import numcodecs.blosc
import numpy as np

from zarrs._codecs import numbers, vlen
from zarrs._codecs.bytes_to_bytes import bytes_step
from zarrs._codecs.chain import Chain, Step
from zarrs._codecs.describing import describes, name_of
from zarrs._codecs.python_steps import V2PythonStep
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec

    from zarrs._codecs.chain import AnyStep

_BYTE = np.dtype("u1")


def chain_of(codec: Any, spec: ArraySpec) -> Chain:
    """The chain of `codec` for chunks of `spec`.

    Raises
    ------
    UnsupportedError
        If it can be neither a native step nor a Python step.
    """
    try:
        return _native_chain(codec, spec)
    except UnsupportedError:
        return _python_chain(codec, spec)


def _native_chain(codec: Any, spec: ArraySpec) -> Chain:
    filters = tuple(codec.filters or ())
    serializer = vlen.name_of(filters[0] if filters else None, spec)
    transpose = _transpose(spec)
    dtype = spec.dtype.to_native_dtype()
    if serializer is not None:
        filters = filters[1:]
        dtype = _BYTE
    steps: list[AnyStep]
    try:
        steps = _steps(codec, filters, dtype, bool(transpose))
    except UnsupportedError:
        if serializer is None:
            raise
        # All codecs behind the filter for elements of variable length are given bytes.
        steps = [V2PythonStep(filters, codec.compressor, False, spec, None)]
    return Chain(transpose, serializer or "bytes", steps)


def _python_chain(codec: Any, spec: ArraySpec) -> Chain:
    """The chain of `codec` with its filters, and the compressor unless that is native, as one Python step.

    Filters leave elements of any size, which blosc uses as its own type size unless its configuration names one.
    """
    compressor = codec.compressor
    outer: list[AnyStep] = []
    guesses = type(compressor) is numcodecs.blosc.Blosc and not getattr(
        compressor, "typesize", None
    )
    if codec.filters and compressor is not None and not guesses:
        try:
            outer = [_step(compressor, _BYTE)]
            compressor = None
        except UnsupportedError:
            pass
    step = V2PythonStep(codec.filters or (), compressor, bool(outer), spec, spec)
    return Chain(_transpose(spec), vlen.image_of(spec) or "bytes", [step, *outer])


def _transpose(spec: ArraySpec) -> list[list[int]]:
    """Order F is a transposition that reverses the dimensions."""
    rank = len(spec.shape)
    return [list(range(rank))[::-1]] if spec.config.order == "F" and rank > 1 else []


def _steps(
    codec: Any, filters: tuple[Any, ...], dtype: np.dtype[Any], transposed: bool
) -> list[AnyStep]:
    """The steps of `filters`, the first of them for elements of `dtype`, and of the compressor of `codec`."""
    compressors = () if codec.compressor is None else (codec.compressor,)
    steps: list[AnyStep] = []
    for one in (*filters, *compressors):
        if transposed and type(one) is numcodecs.bitround.BitRound:
            raise UnsupportedError(name_of(one), "it leaves chunks of order F in order C")
        number_step = numbers.filter_step(one, dtype)
        steps.append(_step(one, dtype) if number_step is None else number_step.step)
        dtype = _BYTE if number_step is None else number_step.dtype
    return steps


@describes
def _step(codec: Any, dtype: np.dtype[Any]) -> Step:
    """The step of a bytes codec, filter or compressor, that is given elements of `dtype`."""
    step = bytes_step(codec, dtype)
    if step is None:
        raise UnsupportedError(name_of(codec), "this codec of format 2 is not native")
    return step
