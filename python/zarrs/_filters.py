"""Codecs that work on numbers, as steps for the engine (their layout: ``src/bindings/filters.rs``).

A codec counts as known by its exact class. What each computes is numcodecs' or zarr's meaning; which types NumPy computes
in is asked of NumPy itself. Transpositions, compressors and checksums are not looked at here.
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

from zarrs import _data_types
from zarrs._describing import describes
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec

# The native classes of ``numcodecs.zarr3`` (before zarr 3.1.3) and ``zarr.codecs.numcodecs``.
_WRAPPERS = {"AsType", "BitRound", "Delta", "FixedScaleOffset", "PackBits", "PCodec", "Quantize"}
_WRAPPER_MODULES = ("zarr.codecs.numcodecs", "zarr.codecs.numcodecs._codecs", "numcodecs.zarr3")
_SIGNIFICANDS = {2: 10, 4: 23, 8: 52}
_NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0"

DType = np.dtype[Any]


class Step(NamedTuple):
    """A step, and the data type that the codec hands on when it encodes."""

    spec: tuple[Any, ...]
    dtype: DType
    # Whether it leaves them in one dimension, which zarr cannot transpose, and in an order that may matter.
    flattens: bool = False


@describes
def filter_step(codec: Any, dtype: DType) -> Step | None:
    """The step of a numcodecs codec that is given elements of `dtype`; None if it is no codec of this module.

    Elements are taken as numcodecs takes them: viewed as the codec's own data type, byte order included.

    Raises
    ------
    UnsupportedError
        If it is one that does not run natively for this data type.
    """
    kind = type(codec)
    make = _STEPS.get(kind)
    if make is not None:
        step: Step = make(codec, dtype)
        return step
    pcodec = sys.modules.get("numcodecs.pcodec")
    if pcodec is not None and kind is pcodec.PCodec:
        return _pcodec(codec, dtype, view=True)
    return None


@describes
def array_step(codec: Any, spec: ArraySpec, dtype: DType) -> Step | None:
    """The step of an array-to-array codec of format 3 for chunks of `spec`, given elements of `dtype`.

    None if it is no codec of this module.

    Raises
    ------
    UnsupportedError
        If it is one that does not run natively for this data type.
    """
    kind = type(codec)
    for module, name, make in (
        ("zarr.codecs.scale_offset", "ScaleOffset", _scale_offset),
        ("zarr.codecs.cast_value", "CastValue", _cast_value),
    ):
        if kind is getattr(sys.modules.get(module), name, None):
            _check_native(codec, dtype)
            if dtype != spec.dtype.to_native_dtype():
                raise _unsupported(codec, "it is given other elements than its metadata says")
            return make(codec, spec, dtype)
    if not _is_wrapper(kind):
        return None
    inner = codec._codec
    step = filter_step(inner, dtype)
    if step is None:
        return None
    return _as_zarr_decodes(inner, step, spec, dtype)


@describes
def pcodec_step(codec: Any, dtype: DType) -> Step | None:
    """The step of the array-to-bytes codec pcodec of format 3; None for any other."""
    if not _is_wrapper(type(codec)):
        return None
    inner = codec._codec
    pcodec = sys.modules.get("numcodecs.pcodec")
    if pcodec is None or type(inner) is not pcodec.PCodec:
        return None
    return _pcodec(inner, dtype, view=False)


def swap_step(dtype: DType, endian: str | None) -> list[tuple[Any, ...]]:
    """The steps that a bytes codec with `endian` adds to codecs that leave elements of `dtype`."""
    if dtype.itemsize == 1 or _data_types.stored(dtype, endian) == dtype:
        return []
    return [("swap", _name(dtype))]


def _is_wrapper(kind: type) -> bool:
    return kind.__name__ in _WRAPPERS and any(
        getattr(sys.modules.get(module), kind.__name__, None) is kind for module in _WRAPPER_MODULES
    )


def _as_zarr_decodes(inner: Any, step: Step, spec: ArraySpec, dtype: DType) -> Step:
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
        step = step._replace(spec=("packbits", True))
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


def _delta(codec: Any, dtype: DType) -> Step:
    own, encoded = codec.dtype, codec.astype
    _viewed(codec, dtype, own)
    if own == encoded:
        _kinds(codec, own, allowed="iufc")
        return Step(("delta", own.str, own.str, _native(own).str), encoded, flattens=True)
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
    return Step(("delta", own.str, encoded.str, _native(total).str), encoded, flattens=True)


def _fixed_scale_offset(codec: Any, dtype: DType) -> Step:
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
    spec = (
        "fixedscaleoffset",
        own.str,
        encoded.str,
        _scalar(offset, difference.dtype),
        _scalar(scale, product.dtype),
        _scalar(scale, quotient.dtype),
        _scalar(offset, result.dtype),
    )
    return Step(spec, encoded, flattens=True)


def _quantize(codec: Any, dtype: DType) -> Step:
    own, encoded = codec.dtype, codec.astype
    _viewed(codec, dtype, own)
    _kinds(codec, own, encoded, allowed="f")
    # numcodecs' own arithmetic, in Python's floats.
    exponent = math.log10(10.0**-codec.digits)
    exponent = math.floor(exponent) if exponent < 0 else math.ceil(exponent)
    scale = 2.0 ** math.ceil(math.log2(10.0**-exponent))
    return Step(("quantize", own.str, encoded.str, _scalar(scale, _native(own))), encoded)


def _bitround(codec: Any, dtype: DType) -> Step:
    _kinds(codec, dtype, allowed="f")
    # numcodecs looks for the name of a type in this machine's byte order.
    _check_native(codec, dtype)
    if type(codec.keepbits) is not int or not 0 <= codec.keepbits < 2**31:
        raise _unsupported(codec, "its number of bits is no small whole number")
    # What is left of the bits goes on as integers.
    rounded = codec.keepbits < _SIGNIFICANDS[dtype.itemsize]
    integer = np.dtype(dtype.str.replace("f", "i")) if rounded else dtype
    return Step(("bitround", dtype.str, codec.keepbits), integer)


def _astype(codec: Any, dtype: DType) -> Step:
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
    return Step(("astype", _name(decoded), _name(encoded)), encoded)


def _packbits(codec: Any, dtype: DType) -> Step:
    if dtype.itemsize != 1:
        raise _unsupported(codec, f"elements of {dtype} are no truth values")
    return Step(("packbits", False), np.dtype("u1"), flattens=True)


def _pcodec(codec: Any, dtype: DType, *, view: bool) -> Step:
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
    spec = ("pcodec", dtype.str, codec.level, codec.mode_spec == "auto", delta)
    return Step((*spec, numbers[2], codec.equal_pages_up_to, view), np.dtype("u1"), flattens=True)


def _scale_offset(codec: Any, spec: ArraySpec, dtype: DType) -> Step:
    _kinds(codec, dtype, allowed="iuf")
    offset, scale = (
        spec.dtype.from_json_scalar(value, zarr_format=3) for value in (codec.offset, codec.scale)
    )
    step = ("scale_offset", dtype.str, _scalar(offset, dtype), _scalar(scale, dtype))
    return Step(step, dtype)


def _cast_value(codec: Any, spec: ArraySpec, dtype: DType) -> Step:
    encoded = codec.dtype.to_native_dtype()
    _kinds(codec, dtype, encoded, allowed="iuf")
    _check_native(codec, encoded)
    if not _casts_alike():
        raise _unsupported(codec, "the installed cast-value-rs rounds in another way")
    maps = codec.scalar_map or {}
    step = (
        "cast_value",
        dtype.str,
        encoded.str,
        codec.rounding,
        codec.out_of_range,
        _scalars(maps.get("encode") or {}, dtype, encoded),
        _scalars(maps.get("decode") or {}, encoded, dtype),
    )
    return Step(step, encoded)


@cache
def _casts_alike() -> bool:
    """Whether zarr's backend is a release of the library that the engine is built with."""
    try:
        return version("cast-value-rs").startswith("0.5.")
    except PackageNotFoundError:
        return False


def _scalars(entries: Any, start: DType, end: DType) -> list[tuple[bytes, bytes]]:
    """A scalar map as its backend is given it: each side a Python int or float."""
    sides = [(int if one.kind in "iu" else float, one) for one in (start, end)]
    # Two entries that are one number: the later stands, in the place of the earlier.
    unique = {sides[0][0](key): sides[1][0](value) for key, value in entries.items()}
    return [
        (_scalar(key, sides[0][1])[1], _scalar(value, sides[1][1])[1])
        for key, value in unique.items()
    ]


def _native(dtype: DType) -> DType:
    return dtype.newbyteorder("=")


def _scalar(value: Any, dtype: DType) -> tuple[str, bytes]:
    dtype = _native(dtype)
    with np.errstate(all="ignore"):
        return dtype.str, np.asarray(value, dtype).tobytes()


def _unsupported(codec: Any, reason: str) -> UnsupportedError:
    name = getattr(codec, "codec_id", type(codec).__name__)
    return UnsupportedError(f"codec {name}", reason)


_STEPS = {
    numcodecs.astype.AsType: _astype,
    numcodecs.bitround.BitRound: _bitround,
    numcodecs.delta.Delta: _delta,
    numcodecs.fixedscaleoffset.FixedScaleOffset: _fixed_scale_offset,
    numcodecs.packbits.PackBits: _packbits,
    numcodecs.quantize.Quantize: _quantize,
}
