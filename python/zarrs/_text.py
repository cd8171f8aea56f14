"""Text and bytes of variable length: which codecs go with which data types, and what is special about their chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numcodecs.vlen import VLenBytes, VLenUTF8
from zarr.abc.codec import ArrayBytesCodec
from zarr.codecs import VLenBytesCodec, VLenUTF8Codec
from zarr.codecs._v2 import V2Codec
from zarr.core.dtype import VariableLengthBytes, VariableLengthUTF8

from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec

# The engine's name of the codec that is at home with each data type.
_NAMES: dict[type, str] = {VariableLengthUTF8: "vlen-utf8", VariableLengthBytes: "vlen-bytes"}
_CODECS: dict[type, str] = {
    VLenUTF8Codec: "vlen-utf8",
    VLenBytesCodec: "vlen-bytes",
    VLenUTF8: "vlen-utf8",
    VLenBytes: "vlen-bytes",
}
_IMAGES: dict[type, Any] = {VariableLengthUTF8: VLenUTF8(), VariableLengthBytes: VLenBytes()}
# A place for the reference in the engine's images.
REFERENCE_SIZE = 16


def is_text(data_type: Any) -> bool:
    """Whether elements of zarr's `data_type` have variable length and are native."""
    return type(data_type) in _NAMES


def name_of(codec: Any, spec: ArraySpec) -> str | None:
    """The engine's name of an array-to-bytes codec or a filter of format 2; None for those of fixed-size elements.

    Raises
    ------
    UnsupportedError
        If the data type is not the one that the codec is for.
    """
    name = _CODECS.get(type(codec))
    if name != _NAMES.get(type(spec.dtype)):
        refuse(spec)
    return name


def image_of(spec: ArraySpec) -> str | None:
    """The codec whose stored form Python steps are given as the image of a chunk; None for elements of fixed size."""
    return _NAMES.get(type(spec.dtype))


def array_of(data: Any, spec: ArraySpec) -> np.ndarray[Any, Any]:
    """The elements of a chunk, in one dimension, of its image."""
    elements: np.ndarray[Any, Any] = _IMAGES[type(spec.dtype)].decode(np.frombuffer(data, "B"))
    return elements.astype(spec.dtype.to_native_dtype(), copy=False)


def bytes_of(array: np.ndarray[Any, Any], spec: ArraySpec) -> Any:
    """The image of a chunk's elements."""
    elements = np.ascontiguousarray(array, dtype=spec.dtype.to_native_dtype())
    return _IMAGES[type(spec.dtype)].encode(elements.reshape(-1))


def refuse(spec: ArraySpec) -> None:
    """Raises UnsupportedError: this data type and the codecs do not go together."""
    raise UnsupportedError(
        f"data type {spec.dtype.to_native_dtype()}",
        "its elements have no fixed size",
    )


def fill_of(fill_value: Any, data_type: Any) -> bytes:
    """The bytes of one element of the fill value.

    Raises
    ------
    UnsupportedError
        Where NumPy reads it in more than one way.
    """
    wanted = str if type(data_type) is VariableLengthUTF8 else bytes
    if not isinstance(fill_value, wanted):
        kind = type(fill_value).__name__
        raise UnsupportedError(f"fill value {fill_value!r}", f"a {kind} is not an element")
    try:
        fill = fill_value.encode() if isinstance(fill_value, str) else bytes(fill_value)
    except UnicodeEncodeError:
        raise UnsupportedError(f"fill value {fill_value!r}", "it is not Unicode") from None
    if fill.endswith(b"\0"):
        # NumPy drops it where zarr-python compares, and keeps it where it fills.
        raise UnsupportedError(f"fill value {fill_value!r}", "it ends with a null character")
    return fill


def check_fill(fill_value: Any, data_type: Any) -> None:
    """Raises what `fill_of` raises; None stands for the data type's own fill value."""
    if fill_value is not None:
        fill_of(fill_value, data_type)


def without_missing(array: np.ndarray[Any, Any], batch: Any, codecs: tuple[Any, ...]) -> Any:
    """`array` with what zarr stores for its missing strings in the chunks of `batch`; None if that is not known.

    zarr assigns a value to a chunk, which makes NumPy write the name of what is missing, but hands a value that is the
    whole chunk to its codecs as it is: that of format 3 stores None as no text and refuses other objects.

    Raises
    ------
    Exception
        What zarr raises for a missing string.
    """
    whole = type(codecs[-1]) is V2Codec
    last = next((codec for codec in codecs if isinstance(codec, ArrayBytesCodec)), None)
    if not hasattr(array.dtype, "na_object") or not (whole or type(last) is VLenUTF8Codec):
        return None
    stored = array.astype(np.dtypes.StringDType())
    for _, spec, _, selection, is_complete in batch:
        chunk = array[selection]
        if not is_complete or chunk.shape != tuple(spec.shape):
            continue
        if not spec.config.write_empty_chunks:
            fill_value = spec.fill_value
            buffer = spec.prototype.nd_buffer.from_ndarray_like(chunk)
            # Some objects cannot be compared.
            buffer.all_equal(spec.dtype.default_scalar() if fill_value is None else fill_value)
        if not whole:
            text = VLenUTF8().encode(np.ascontiguousarray(chunk))
            stored[selection] = VLenUTF8().decode(text).reshape(chunk.shape)
    return stored


def emptiness(data_type: Any) -> tuple[str, bool]:
    """How the engine compares elements with the fill value: as text, or as bytes."""
    return ("text", type(data_type) is VariableLengthUTF8)


def refuse_single_element() -> None:
    """Raises UnsupportedError: as one element NumPy takes an array, of no dimension too, for an object or for its `str`."""
    raise UnsupportedError("value", "an array is assigned to one element of variable length")
