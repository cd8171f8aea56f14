"""Elements of variable length, text or bytes: which codecs go with which data types, and what is special about chunks."""

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

    from zarrs._codecs.chain import Vlen

# The engine's name of the codec for each data type.
_NAMES: dict[type, Vlen] = {VariableLengthUTF8: "vlen-utf8", VariableLengthBytes: "vlen-bytes"}
_CODECS: dict[type, Vlen] = {
    VLenUTF8Codec: "vlen-utf8",
    VLenBytesCodec: "vlen-bytes",
    VLenUTF8: "vlen-utf8",
    VLenBytes: "vlen-bytes",
}
_IMAGES: dict[type, Any] = {VariableLengthUTF8: VLenUTF8(), VariableLengthBytes: VLenBytes()}


def is_text(data_type: Any) -> bool:
    """Whether elements of zarr's `data_type` have variable length and are native."""
    return type(data_type) in _NAMES


def name_of(codec: Any, spec: ArraySpec) -> Vlen | None:
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


def image_of(spec: ArraySpec) -> Vlen | None:
    """The codec whose stored form Python codecs receive as a chunk's image; None for elements of fixed size."""
    return _NAMES.get(type(spec.dtype))


def elements_of(data: Any, spec: ArraySpec) -> np.ndarray[Any, Any]:
    """A chunk's elements in one dimension, decoded from its image."""
    elements: np.ndarray[Any, Any] = _IMAGES[type(spec.dtype)].decode(np.frombuffer(data, "B"))
    return elements.astype(spec.dtype.to_native_dtype(), copy=False)


def bytes_of(array: np.ndarray[Any, Any], spec: ArraySpec) -> Any:
    """The image of a chunk's elements."""
    elements = np.ascontiguousarray(array, dtype=spec.dtype.to_native_dtype())
    return _IMAGES[type(spec.dtype)].encode(elements.reshape(-1))


def refuse(spec: ArraySpec) -> None:
    """Raises UnsupportedError: the data type of `spec` and its codec do not go together."""
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
    wanted = str if is_utf8(data_type) else bytes
    if not isinstance(fill_value, wanted):
        kind = type(fill_value).__name__
        raise UnsupportedError(f"fill value {fill_value!r}", f"a {kind} is not an element")
    try:
        fill = fill_value.encode() if isinstance(fill_value, str) else bytes(fill_value)
    except UnicodeEncodeError:
        raise UnsupportedError(f"fill value {fill_value!r}", "it is not Unicode") from None
    if fill.endswith(b"\0"):
        # NumPy drops it when zarr-python compares, and keeps it when zarr-python fills.
        raise UnsupportedError(f"fill value {fill_value!r}", "it ends with a null character")
    return fill


def check_fill(fill_value: Any, data_type: Any) -> None:
    """Raises what `fill_of` raises; None stands for the data type's own fill value."""
    if fill_value is not None:
        fill_of(fill_value, data_type)


def without_missing(array: np.ndarray[Any, Any], batch: Any, codecs: tuple[Any, ...]) -> Any:
    """`array` with the text that zarr stores for missing strings in the chunks of `batch`; None if that is not known.

    When zarr assigns a value to a part of a chunk, NumPy writes the missing object's name. A value that covers the chunk
    goes to zarr's codecs unchanged: the codec of format 3 stores None as empty text and refuses other objects.

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


def is_utf8(data_type: Any) -> bool:
    """Whether elements of `data_type`, which have variable length, are text rather than bytes."""
    return type(data_type) is VariableLengthUTF8


def refuse_single_element() -> None:
    """Raises UnsupportedError: NumPy assigns an array to one element, even without dimensions, as an object or as its `str`."""
    raise UnsupportedError("value", "an array is assigned to one element of variable length")
