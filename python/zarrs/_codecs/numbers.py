"""Codecs that work on numbers, as native steps: one row of `_CODECS` for each class, and a function that describes it.

What each computes is numcodecs' or zarr's meaning; NumPy itself says in which types it computes. Data types are described
by NumPy's names with byte order (``<i4``). Transpositions, compressors and checksums are elsewhere.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NamedTuple

import numcodecs.astype
import numcodecs.bitround
import numcodecs.delta
import numcodecs.fixedscaleoffset
import numcodecs.packbits
import numcodecs.quantize
import numpy as np

from zarrs._codecs import data_types
from zarrs._codecs.bytes_to_bytes import is_wrapper
from zarrs._codecs.chain import Step
from zarrs._codecs.describing import describes
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from zarr.core.array_spec import ArraySpec

_SIGNIFICANDS = {2: 10, 4: 23, 8: 52}
_NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0"

DType = np.dtype[Any]


class NumberStep(NamedTuple):
    """A step, and the data type that the codec hands on when it encodes."""

    step: Step
    dtype: DType
    # Whether it leaves them in one dimension, which zarr cannot transpose, and in an order that may matter.
    flattens: bool = False


@describes
def filter_step(codec: Any, dtype: DType) -> NumberStep | None:
    """The step of a numcodecs codec that is given elements of `dtype`; None if it is no codec of this module.

    Elements are taken as numcodecs takes them: viewed as the codec's own data type, byte order included.

    Raises
    ------
    UnsupportedError
        If it is one that does not run natively for this data type.
    """
    kind = type(codec)
    describe = _CODECS.get(kind)
    if describe is not None:
        return describe(codec, dtype)
    return (
        _pcodec(codec, dtype, view=True) if kind is _loaded("numcodecs.pcodec", "PCodec") else None
    )


@describes
def array_step(codec: Any, spec: ArraySpec, dtype: DType) -> NumberStep | None:
    """The step of an array-to-array codec of format 3 for chunks of `spec`, given elements of `dtype`.

    None if it is no codec of this module.

    Raises
    ------
    UnsupportedError
        If it is one that does not run natively for this data type.
    """
    kind = type(codec)
    for module, name, describe in _ZARR_CODECS:
        if kind is _loaded(module, name):
            _check_native(codec, dtype)
            if dtype != spec.dtype.to_native_dtype():
                raise _unsupported(codec, "it is given other elements than its metadata says")
            return describe(codec, spec, dtype)
    if not is_wrapper(kind):
        return None
    inner = codec._codec
    step = filter_step(inner, dtype)
    return None if step is None else _as_zarr_decodes(inner, step, spec, dtype)


@describes
def pcodec_step(codec: Any, dtype: DType) -> NumberStep | None:
    """The step of the array-to-bytes codec pcodec of format 3; None for any other."""
    if not is_wrapper(type(codec)) or type(codec._codec) is not _loaded(
        "numcodecs.pcodec", "PCodec"
    ):
        return None
    return _pcodec(codec._codec, dtype, view=False)


def swap_step(dtype: DType, endian: str | None) -> list[Step]:
    """The steps that a bytes codec with `endian` adds to codecs that leave elements of `dtype`."""
    if dtype.itemsize == 1 or data_types.stored(dtype, endian) == dtype:
        return []
    return [Step("swap", {"dtype": _name(dtype)})]


def _loaded(module: str, name: str) -> Any:
    """A class of a module that is there only in some installations; None as long as nothing has imported it."""
    return getattr(sys.modules.get(module), name, None)


def _as_zarr_decodes(inner: Any, step: NumberStep, spec: ArraySpec, dtype: DType) -> NumberStep:
    """`step`, if zarr reads back what it writes: format 3 assigns values where format 2 views bytes."""
    declared = spec.dtype.to_native_dtype()
    for one in (dtype, declared, step.dtype):
        _check_native(inner, one)
    own = getattr(inner, "decode_dtype", getattr(inner, "dtype", None))
    if own is not None:
        _check_native(inner, own)
        times = declared.kind in "mM" and own == np.dtype("i8")
        if own not in (dtype, declared) and not times:
            raise _unsupported(inner, f"its data type {own} is not {declared}")
    if type(inner) is numcodecs.quantize.Quantize and inner.astype != inner.dtype:
        raise _unsupported(inner, "zarr does not know of its other data type in storage")
    if type(inner) is numcodecs.packbits.PackBits:
        if declared.kind != "b":
            raise _unsupported(inner, f"{declared} is no truth value")
        step = step._replace(step=Step("packbits", {"shaped": True}))
    return step


def _check_native(codec: Any, dtype: DType) -> None:
    if not dtype.isnative:
        raise _unsupported(codec, f"its elements {dtype.str} are not in this machine's byte order")


def _viewed(codec: Any, dtype: DType, own: DType) -> None:
    if dtype.itemsize != own.itemsize:
        raise _unsupported(codec, f"it takes elements of {dtype} for elements of {own}")


def _name(dtype: DType) -> str:
    """How the engine calls `dtype`: times are integers."""
    return dtype.str[0] + "i8" if dtype.kind in "mM" else dtype.str


def _kinds(codec: Any, *dtypes: DType, allowed: str) -> None:
    for dtype in dtypes:
        if dtype.kind not in allowed or dtype.itemsize > (16 if dtype.kind == "c" else 8):
            raise _unsupported(codec, f"not native for elements of {dtype}")


def _convertible(codec: Any, start: DType, end: DType) -> None:
    if start.kind == "f" and end.kind == "u" and end.itemsize == 4:
        raise _unsupported(
            codec, "what NumPy makes of a float that is no uint32 depends on its place"
        )


def _delta(codec: Any, dtype: DType) -> NumberStep:
    own, encoded = codec.dtype, codec.astype
    _viewed(codec, dtype, own)
    if own == encoded:
        _kinds(codec, own, allowed="iufc")
        return _delta_step(own, own, own)
    _kinds(codec, own, encoded, allowed="iuf")
    total = np.result_type(own, encoded)
    if total.kind == "f" and "f" not in (own.kind, encoded.kind):
        raise _unsupported(codec, "NumPy has no common integer of its data types")
    # The first element is put into the encoded array by itself, which rounds twice or refuses where others are cast.
    if own.kind in "iu" and (encoded.kind, encoded.itemsize) in (("f", 2), ("f", 4)):
        exact = 2 if encoded.itemsize == 2 else 4
        if own.itemsize > exact:
            raise _unsupported(codec, "its first element is rounded in another way than the others")
    if encoded.kind == "i" and not _NUMPY_2:
        raise _unsupported(codec, "NumPy 1 wraps a first element that does not fit")
    for start, end in ((own, encoded), (encoded, total), (total, own)):
        _convertible(codec, start, end)
    return _delta_step(own, encoded, total)


def _delta_step(decoded: DType, encoded: DType, total: DType) -> NumberStep:
    parameters = {"decoded": decoded.str, "encoded": encoded.str, "sum": _native(total).str}
    return NumberStep(Step("delta", parameters), encoded, flattens=True)


def _fixed_scale_offset(codec: Any, dtype: DType) -> NumberStep:
    own, encoded = codec.dtype, codec.astype
    offset, scale = codec.offset, codec.scale
    _viewed(codec, dtype, own)
    _kinds(codec, own, encoded, allowed="iuf")
    if type(offset) not in (int, float) or type(scale) not in (int, float):
        raise _unsupported(codec, "its offset or scale is no plain number")
    # NumPy says in which types it computes, and refuses what it would refuse with data.
    with np.errstate(all="ignore"):
        difference = np.ones(1, _native(own)) - offset
        product = difference * scale
        quotient = np.ones(1, _native(encoded)) / scale
        result = quotient + offset
    _kinds(codec, difference.dtype, product.dtype, quotient.dtype, result.dtype, allowed="iuf")
    if quotient.dtype.kind != "f":
        raise _unsupported(codec, "its quotient is no float")
    for start, end in (
        (own, difference.dtype),
        (product.dtype, encoded),
        (encoded, quotient.dtype),
        (result.dtype, own),
    ):
        _convertible(codec, start, end)
    parameters = {
        "decoded": own.str,
        "encoded": encoded.str,
        "subtract": _scalar(offset, difference.dtype),
        "multiply": _scalar(scale, product.dtype),
        "divide": _scalar(scale, quotient.dtype),
        "add": _scalar(offset, result.dtype),
    }
    return NumberStep(Step("fixedscaleoffset", parameters), encoded, flattens=True)


def _quantize(codec: Any, dtype: DType) -> NumberStep:
    own, encoded = codec.dtype, codec.astype
    _viewed(codec, dtype, own)
    _kinds(codec, own, encoded, allowed="f")
    # numcodecs' own arithmetic, in Python's floats.
    exponent = math.log10(10.0**-codec.digits)
    exponent = math.floor(exponent) if exponent < 0 else math.ceil(exponent)
    scale = 2.0 ** math.ceil(math.log2(10.0**-exponent))
    parameters = {"decoded": own.str, "encoded": encoded.str, "scale": _scalar(scale, own)}
    return NumberStep(Step("quantize", parameters), encoded)


def _bitround(codec: Any, dtype: DType) -> NumberStep:
    _kinds(codec, dtype, allowed="f")
    # numcodecs looks for the name of a type in this machine's byte order.
    _check_native(codec, dtype)
    if type(codec.keepbits) is not int or not 0 <= codec.keepbits < 2**31:
        raise _unsupported(codec, "its number of bits is no small whole number")
    # What is left of the bits goes on as integers.
    rounded = codec.keepbits < _SIGNIFICANDS[dtype.itemsize]
    integer = np.dtype(dtype.str.replace("f", "i")) if rounded else dtype
    return NumberStep(Step("bitround", {"dtype": dtype.str, "keepbits": codec.keepbits}), integer)


def _astype(codec: Any, dtype: DType) -> NumberStep:
    decoded, encoded = codec.decode_dtype, codec.encode_dtype
    _viewed(codec, dtype, decoded)
    for one, other in ((decoded, encoded), (encoded, decoded)):
        if one.kind in "mM":
            # A time is its integer; another unit, or a float, is a conversion of its own.
            if other != one and other.newbyteorder("=") != np.dtype("i8"):
                raise _unsupported(codec, f"the conversion of {one} to {other} is not native")
        else:
            _kinds(codec, one, allowed="biufmM")
        _convertible(codec, one, other)
    parameters = {"decoded": _name(decoded), "encoded": _name(encoded)}
    return NumberStep(Step("astype", parameters), encoded)


def _packbits(codec: Any, dtype: DType) -> NumberStep:
    if dtype.itemsize != 1:
        raise _unsupported(codec, f"elements of {dtype} are no truth values")
    return NumberStep(Step("packbits", {"shaped": False}), np.dtype("u1"), flattens=True)


def _pcodec(codec: Any, dtype: DType, *, view: bool) -> NumberStep:
    if dtype.kind in "mM":
        dtype = np.dtype("i8").newbyteorder(dtype.byteorder)
    _kinds(codec, dtype, allowed="iuf")
    _check_native(codec, dtype)
    delta = getattr(codec, "delta_spec", "auto")
    order = codec.delta_encoding_order
    if order is not None and delta == "auto":
        delta = "try_consecutive"
    numbers = (codec.level, codec.equal_pages_up_to, 0 if order is None else order)
    known = (
        codec.mode_spec in ("auto", "classic")
        # "none" warns whenever numcodecs encodes.
        and delta in ("auto", "no_op", "try_consecutive", "try_lookback")
        and (order is None) == (delta != "try_consecutive")
        and codec.paging_spec == "equal_pages_up_to"
        and all(type(number) is int and 0 <= number < 2**32 for number in numbers)
    )
    if not known:
        raise _unsupported(codec, "its configuration is not native")
    parameters = {
        "dtype": dtype.str,
        "level": codec.level,
        "automatic_mode": codec.mode_spec == "auto",
        "delta_spec": delta,
        "delta_encoding_order": order,
        "equal_pages_up_to": codec.equal_pages_up_to,
        "view": view,
    }
    return NumberStep(Step("pcodec", parameters), np.dtype("u1"), flattens=True)


def _scale_offset(codec: Any, spec: ArraySpec, dtype: DType) -> NumberStep:
    _kinds(codec, dtype, allowed="iuf")
    offset, scale = (
        spec.dtype.from_json_scalar(value, zarr_format=3) for value in (codec.offset, codec.scale)
    )
    parameters = {
        "dtype": dtype.str,
        "offset": _scalar(offset, dtype),
        "scale": _scalar(scale, dtype),
    }
    return NumberStep(Step("scale_offset", parameters), dtype)


def _cast_value(codec: Any, spec: ArraySpec, dtype: DType) -> NumberStep:
    encoded = codec.dtype.to_native_dtype()
    _kinds(codec, dtype, encoded, allowed="iuf")
    _check_native(codec, encoded)
    if not _casts_alike():
        raise _unsupported(codec, "the installed cast-value-rs rounds in another way")
    maps = codec.scalar_map or {}
    parameters = {
        "decoded": dtype.str,
        "encoded": encoded.str,
        "rounding": codec.rounding,
        "out_of_range": codec.out_of_range,
        "encode_map": _scalars(maps.get("encode") or {}, dtype, encoded),
        "decode_map": _scalars(maps.get("decode") or {}, encoded, dtype),
    }
    return NumberStep(Step("cast_value", parameters), encoded)


@cache
def _casts_alike() -> bool:
    """Whether zarr's backend is a release of the library that the engine is built with."""
    try:
        return version("cast-value-rs").startswith("0.5.")
    except PackageNotFoundError:
        return False


def _scalars(entries: Any, start: DType, end: DType) -> list[tuple[bytes, bytes]]:
    """A scalar map as its backend is given it: each side a Python int or float."""
    key_type, value_type = (int if one.kind in "iu" else float for one in (start, end))
    # Two entries that are one number: the later stands, in the place of the earlier.
    unique = {key_type(key): value_type(value) for key, value in entries.items()}
    return [(_bytes_of(key, start), _bytes_of(value, end)) for key, value in unique.items()]


def _native(dtype: DType) -> DType:
    return dtype.newbyteorder("=")


def _scalar(value: Any, dtype: DType) -> dict[str, Any]:
    return {"dtype": _native(dtype).str, "bytes": _bytes_of(value, dtype)}


def _bytes_of(value: Any, dtype: DType) -> bytes:
    """`value` as an element of `dtype` in this machine's byte order."""
    with np.errstate(all="ignore"):
        return np.asarray(value, _native(dtype)).tobytes()


def _unsupported(codec: Any, reason: str) -> UnsupportedError:
    name = getattr(codec, "codec_id", type(codec).__name__)
    return UnsupportedError(f"codec {name}", reason)


_CODECS: dict[type, Callable[[Any, DType], NumberStep]] = {
    numcodecs.astype.AsType: _astype,
    numcodecs.bitround.BitRound: _bitround,
    numcodecs.delta.Delta: _delta,
    numcodecs.fixedscaleoffset.FixedScaleOffset: _fixed_scale_offset,
    numcodecs.packbits.PackBits: _packbits,
    numcodecs.quantize.Quantize: _quantize,
}
# zarr's own, which older releases do not have.
_ZARR_CODECS: tuple[tuple[str, str, Callable[[Any, ArraySpec, DType], NumberStep]], ...] = (
    ("zarr.codecs.cast_value", "CastValue", _cast_value),
    ("zarr.codecs.scale_offset", "ScaleOffset", _scale_offset),
)
