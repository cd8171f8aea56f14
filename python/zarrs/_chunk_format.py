"""One array's chunk format for the data type and fill value that a call's chunks have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zarr.core.buffer.cpu import Buffer, NDBuffer

from zarrs._codecs import chain_of, data_types, evolve, vlen
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    import numpy as np
    from zarr.abc.codec import Codec
    from zarr.core.array_spec import ArraySpec

    from zarrs import _internal


class ChunkFormat:
    """The native chunk format, and how NumPy's arrays relate to what it stores."""

    __slots__ = ("_swaps", "dtype", "format", "seen", "stored")

    def __init__(
        self, format: _internal.ChunkFormat, dtype: Any, stored: Any, spec: ArraySpec
    ) -> None:
        self.format = format
        # What Python codecs see of a chunk beyond what every chunk format depends on.
        self.seen = (spec.shape, spec.config) if format.calls_python else None
        self.dtype = dtype
        self.stored = stored
        self._swaps: tuple[Any, Any] | None = None

    def swap_to(self, dtype: np.dtype[Any]) -> Any:
        """Which bytes swap between stored elements and elements of `dtype`.

        Raises
        ------
        IncompatibleDtype
            If NumPy has to convert.
        """
        known = self._swaps
        if known is not None and known[0] is dtype:
            return known[1]
        swap = data_types.swap_between(self.stored, dtype)
        self._swaps = (dtype, swap)
        return swap


class ChunkFormats:
    """The chunk formats of one pipeline, by what its chunks' specs say."""

    __slots__ = ("_codecs", "_last")

    def __init__(self, codecs: tuple[Codec, ...]) -> None:
        self._codecs = codecs
        self._last: tuple[tuple[Any, ...], ChunkFormat | UnsupportedError] | None = None

    def get(self, spec: ArraySpec) -> ChunkFormat:
        """The format of chunks of `spec`.

        Raises
        ------
        UnsupportedError
            If its codecs, data type or buffers are not native.
        """
        # Objects of the array's metadata, the same from call to call. They are kept alive here, so no other has their identity.
        key = (spec.dtype, spec.fill_value, spec.prototype, spec.config.order, len(spec.shape))
        last = self._last
        if last is None or not all(map(_same, last[0], key)) or _shows_more(last[1], spec):
            try:
                made: ChunkFormat | UnsupportedError = _compile(self._codecs, spec)
            except UnsupportedError as error:
                made = error
            last = self._last = (key, made)
        if isinstance(last[1], UnsupportedError):
            # A new one: the traceback of an exception grows whenever it is raised.
            raise UnsupportedError(last[1].what, last[1].reason)
        return last[1]


def _same(a: object, b: object) -> bool:
    return a is b or (isinstance(a, tuple) and a == b)


def _shows_more(made: ChunkFormat | UnsupportedError, spec: ArraySpec) -> bool:
    """Whether `made` holds Python codecs that were prepared for other chunks than those of `spec`."""
    seen = getattr(made, "seen", None)
    return seen is not None and seen != (spec.shape, spec.config)


def _compile(codecs: tuple[Codec, ...], spec: ArraySpec) -> ChunkFormat:
    from zarrs import _internal

    for kind, own in ((spec.prototype.buffer, Buffer), (spec.prototype.nd_buffer, NDBuffer)):
        if kind is not own:
            raise UnsupportedError(
                f"buffer {kind.__module__}.{kind.__qualname__}",
                "it is not zarr's buffer in main memory",
            )
    dtype = spec.dtype.to_native_dtype()
    has_fixed_size = not vlen.is_text(spec.dtype)
    if has_fixed_size:
        data_types.check(dtype)
    chain = chain_of(evolve(codecs, spec), spec)
    fill_value = spec.fill_value
    if fill_value is None:
        fill_value = spec.dtype.default_scalar()
    if not has_fixed_size:
        format = _internal.ChunkFormat.of_variable_length(
            chain, fill=vlen.fill_of(fill_value, spec.dtype), utf8=vlen.is_utf8(spec.dtype)
        )
        return ChunkFormat(format, dtype, dtype, spec)
    stored = data_types.stored(dtype, chain.endian)
    # As zarr does it: NumPy alone loses the byte order of dates without a unit.
    one = NDBuffer.create(shape=(1,), dtype=dtype, fill_value=fill_value).astype(stored)
    format = _internal.ChunkFormat(
        chain,
        item_size=stored.itemsize,
        fill=one.as_numpy_array().tobytes(),
        equality=data_types.equality(stored),
        big_endian=_is_big_endian(stored),
    )
    return ChunkFormat(format, dtype, stored, spec)


def _is_big_endian(dtype: np.dtype[Any]) -> bool:
    return any(
        leaf.unit > 1 and leaf.dtype.newbyteorder(">") == leaf.dtype
        for leaf in data_types.leaves(dtype)
    )
