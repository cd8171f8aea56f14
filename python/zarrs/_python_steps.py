"""Codecs that stay Python objects, as steps of a native chain: which calls they get, with what, and where these run.

A run of neighbouring codecs is one step for the engine (``src/bindings/python_step.rs``), which hands it bytes on a thread of its
pool. Knows nothing of chunk keys, stores and threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs.blosc
import numpy as np
from numcodecs.compat import ensure_bytes, ensure_ndarray_like
from zarr.abc.codec import (
    ArrayBytesCodecPartialDecodeMixin,
    ArrayBytesCodecPartialEncodeMixin,
)
from zarr.codecs import ShardingCodec, _v2
from zarr.core.buffer import Buffer, NDBuffer

from zarrs import _text
from zarrs._describing import name_of
from zarrs._python_calls import Call, call_of
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zarr.core.array_spec import ArraySpec

    from zarrs._internal import Caller

    Given = tuple[Any, ArraySpec]
    Native = Callable[..., Any]
    Taker = Callable[[Any], Any]

_BYTE = np.dtype("B")

# -- chains ------------------------------------------------------------------------------------------------------------


def specs_of(codecs: Iterable[Any], spec: ArraySpec) -> list[ArraySpec]:
    """What zarr's batched pipeline gives each of `codecs` beside the data: the chunk as the codecs before it leave it."""
    specs = []
    for codec in codecs:
        specs.append(spec)
        spec = codec.resolve_metadata(spec)
    return specs


def leading(codecs: Sequence[Any], native: Native) -> int:
    """How many of the first `codecs` `native` can express; from the next one on, order is kept by leaving all to Python."""
    for number, codec in enumerate(codecs):
        try:
            native(codec)
        except UnsupportedError:
            return number
    return len(codecs)


def check_serializer(codec: Any) -> None:
    """Refuses an array-to-bytes codec that zarr lets read and write the store itself."""
    if isinstance(codec, ArrayBytesCodecPartialDecodeMixin | ArrayBytesCodecPartialEncodeMixin):
        raise UnsupportedError(name_of(codec), "it reads and writes parts of chunks by itself")


def join(
    arrays: Sequence[Given],
    steps: Iterable[Given],
    native: Native,
    stored_by: Taker,
    read_by: Taker,
) -> list[tuple[Any, ...]]:
    """Steps for the engine: what `native` can express of `steps`, and runs of Python codecs between them.

    `arrays` stand in front, the last of them an array-to-bytes codec; each codec comes with its spec. `stored_by` gets
    what the last step encodes, `read_by` what the first one decodes.
    """
    made: list[tuple[Any, ...]] = []
    head = arrays[0][1] if arrays else None
    run = list(arrays)
    for codec, spec in steps:
        try:
            step = native(codec)
        except UnsupportedError:
            run.append((codec, spec))
            continue
        if run:
            made.append(("python", PythonSteps(run, head, to_codec, to_codec if made else read_by)))
            run, head = [], None
        made.append(step)
    if run:
        made.append(("python", PythonSteps(run, head, stored_by, to_codec if made else read_by)))
    return made


def v2_chain(codec: Any, spec: ArraySpec, native: Native) -> tuple[Any, ...]:
    """The chain of a codec of format 2 with Python parts; its compressor is native where `native` can express it.

    Filters leave elements of any size, which blosc takes for its own where its configuration names none.
    """
    compressor = codec.compressor
    outer: list[tuple[Any, ...]] = []
    guesses = type(compressor) is numcodecs.blosc.Blosc and not getattr(
        compressor, "typesize", None
    )
    if codec.filters and compressor is not None and not guesses:
        try:
            outer = [native(compressor, _BYTE)]
            compressor = None
        except UnsupportedError:
            pass
    rank = len(spec.shape)
    orders = [list(range(rank))[::-1]] if spec.config.order == "F" and rank > 1 else []
    step = ("python", V2Steps(codec.filters or (), compressor, bool(outer), spec, spec))
    return (orders, (_text.image_of(spec) or "bytes",), [step, *outer])


def places(codecs: Iterable[Any], chain: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """Class and place ("Rust" or "Python") of each of `codecs`, which `chain` was made of, in encoding order."""
    python = [codec for step in chain[2] if step[0] == "python" for codec in step[1].codecs]
    for codec in codecs:
        parts: tuple[Any, ...] = (codec,)
        if python and type(codec) is _v2.V2Codec:
            parts = (*(codec.filters or ()), *filter(None, (codec.compressor,)))
        for part in parts:
            here = any(part is other for other in python)
            yield type(part).__name__, "Python" if here else "Rust"
        if chain[1][0] == "sharding" and type(codec) is ShardingCodec:
            yield from inner_places(chain[1][2])


def inner_places(chain: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """Class and place of the Python codecs of a shard's inner `chain`."""
    if chain[1][0] == "sharding":
        yield from inner_places(chain[1][2])
    for step in chain[2]:
        if step[0] == "python":
            yield from ((type(codec).__name__, "Python") for codec in step[1].codecs)


# -- who gets what a codec makes ---------------------------------------------------------------------------------------

# Each gives the bytes of what it is given, or the array, or raises as zarr's own does for what is no buffer.


def to_store(value: Any) -> Any:
    """A store."""
    if not isinstance(value, Buffer):
        raise TypeError(f"a codec must give a Buffer, got {type(value).__name__}")
    return _bytes_of(value.as_numpy_array())


def to_shard(value: Any) -> Any:
    """A shard, and codecs between arrays and bytes."""
    return _bytes_of(value.as_array_like())


def to_codec(value: Any) -> Any:
    """A compressor or a checksum."""
    return _bytes_of(value.as_numpy_array())


def to_selection(value: Any) -> Any:
    """The selection of an array's elements, which takes NumPy's arrays too."""
    if isinstance(value, NDBuffer):
        return value.as_numpy_array()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a codec must give an NDBuffer, got {type(value).__name__}")
    return value


def to_transposition(value: Any) -> Any:
    """The codec that transposes, which asks whatever it is given to do that."""
    if not hasattr(value, "transpose"):
        raise AttributeError(f"a codec must give an NDBuffer, got {type(value).__name__}")
    return to_selection(value)


# -- steps -------------------------------------------------------------------------------------------------------------


class PythonSteps:
    """Neighbouring codecs of format 3 as one step between bytes and bytes.

    The engine calls `encode` and `decode` on its own threads, or has `encode_on_loop` and `decode_on_loop` awaited on the event
    loop of the call where a codec needs one; it sees that by `encodes_on_loop` and `decodes_on_loop`.
    """

    __slots__ = (
        "_decoded_to",
        "_decoding",
        "_encoded_to",
        "_encoding",
        "_head",
        "_prototype",
        "codecs",
        "decodes_on_loop",
        "encodes_on_loop",
    )

    def __init__(
        self, run: Sequence[Given], head: ArraySpec | None, encoded_to: Taker, decoded_to: Taker
    ) -> None:
        if head is not None:
            _check_elements(run[0][0], head)
        self.codecs = tuple(codec for codec, _ in run)
        self._head = head
        self._encoded_to = encoded_to
        self._decoded_to = decoded_to
        self._prototype = run[0][1].prototype
        self._encoding = [(call_of(codec, "encode"), spec) for codec, spec in run]
        self._decoding = [(call_of(codec, "decode"), spec) for codec, spec in reversed(run)]
        self.encodes_on_loop = any(call.waits for call, _ in self._encoding)
        self.decodes_on_loop = any(call.waits for call, _ in self._decoding)

    def encode(self, data: Any, caller: Caller) -> Any:
        """The encoded form of `data`, as something with a buffer; None where a codec drops the chunk."""
        return caller.context.copy().run(self._encode, data)

    def decode(self, data: Any, caller: Caller) -> Any:
        """The decoded form of `data`, as something with a buffer; None where a codec makes nothing of it."""
        return caller.context.copy().run(self._decode, data)

    def _encode(self, data: Any) -> Any:
        return self._encoded(_through(self._encoding, self._to_encode(data)))

    def _decode(self, data: Any) -> Any:
        return self._decoded(_through(self._decoding, self._to_decode(data)))

    async def encode_on_loop(self, data: Any) -> Any:
        """As `encode`, on the event loop of the call."""
        return self._encoded(await _through_on_loop(self._encoding, self._to_encode(data)))

    async def decode_on_loop(self, data: Any) -> Any:
        """As `decode`, on the event loop of the call."""
        return self._decoded(await _through_on_loop(self._decoding, self._to_decode(data)))

    def _to_encode(self, data: Any) -> Any:
        if self._head is None:
            return self._to_decode(data)
        return self._prototype.nd_buffer.from_ndarray_like(_array_of(data, self._head))

    def _to_decode(self, data: Any) -> Any:
        return self._prototype.buffer.from_array_like(np.frombuffer(data, dtype="B"))

    def _encoded(self, value: Any) -> Any:
        return None if value is None else self._encoded_to(value)

    def _decoded(self, value: Any) -> Any:
        if value is None:
            return None
        value = self._decoded_to(value)
        return value if self._head is None else _image_of(value, self._head)


def _through(calls: Iterable[tuple[Call, ArraySpec]], value: Any) -> Any:
    """What `calls` one after the other make of `value`; None as soon as one gives that."""
    for call, spec in calls:
        value = call.method(value, spec)
        if value is None:
            return None
    return value


async def _through_on_loop(calls: Iterable[tuple[Call, ArraySpec]], value: Any) -> Any:
    """As `_through`, on an event loop."""
    for call, spec in calls:
        value = await call.on_loop(value, spec)
        if value is None:
            return None
    return value


class V2Steps:
    """Filters of format 2, and the compressor unless that is native, as one step between bytes and bytes.

    `head` is what the first of them is given; None for the bytes of a filter for text.
    """

    __slots__ = ("_compressor", "_filters", "_head", "_native_outside", "_spec")

    encodes_on_loop = False
    decodes_on_loop = False

    def __init__(
        self,
        filters: tuple[Any, ...],
        compressor: Any,
        native_outside: bool,
        spec: ArraySpec,
        head: ArraySpec | None,
    ) -> None:
        if head is not None:
            _check_elements(_v2.V2Codec(filters=filters, compressor=compressor), head)
        self._head = head
        self._filters = filters
        self._compressor = compressor
        self._native_outside = native_outside
        self._spec = spec

    @property
    def codecs(self) -> tuple[Any, ...]:
        """The codecs, in encoding order."""
        return (*self._filters, *(() if self._compressor is None else (self._compressor,)))

    def encode(self, data: Any, caller: Caller) -> Any:
        """As :meth:`PythonSteps.encode`."""
        return caller.context.copy().run(self._encode, data)

    def decode(self, data: Any, caller: Caller) -> Any:
        """As :meth:`PythonSteps.decode`."""
        return caller.context.copy().run(self._decode, data)

    # Both follow zarr.codecs._v2.V2Codec, whose public methods of 3.1 are coroutines around threads.

    def _encode(self, data: Any) -> Any:
        # A filter for text gives a bytearray.
        head = self._head
        chunk: Any = bytearray(data) if head is None else _array_of(data, head, head.config.order)
        for codec in self._filters:
            chunk = codec.encode(chunk)
        if ensure_ndarray_like(chunk).dtype == object:
            raise RuntimeError("cannot write object array without object codec")
        if self._compressor:
            chunk = self._compressor.encode(chunk)
        return ensure_bytes(chunk)

    def _decode(self, data: Any) -> Any:
        check = getattr(_v2, "_check_pickle_allowed", None)
        if check is not None:
            check((self._compressor, *self._filters))
        # A compressor of numcodecs hands bytes to the filters.
        chunk: Any = bytes(data) if self._native_outside else np.frombuffer(data, dtype="B")
        if self._compressor:
            chunk = self._compressor.decode(chunk)
        for codec in reversed(self._filters):
            chunk = codec.decode(chunk)
        if self._head is None:
            return ensure_bytes(chunk)
        chunk = ensure_ndarray_like(chunk)
        dtype = self._head.dtype.to_native_dtype()
        if dtype.kind == "O" != chunk.dtype.kind:
            raise RuntimeError("cannot read object array without object codec")
        try:
            chunk = chunk.view(dtype)
        except TypeError:
            chunk = np.array(chunk).astype(dtype)
        chunk = chunk.reshape(-1, order="A")
        if _text.is_text(self._head.dtype):
            return _text.bytes_of(chunk, self._head)
        return chunk.view("B")


# -- data --------------------------------------------------------------------------------------------------------------


def _check_elements(codec: Any, spec: ArraySpec) -> None:
    dtype = spec.dtype.to_native_dtype()
    if (dtype.hasobject or dtype.kind == "T") and not _text.is_text(spec.dtype):
        raise UnsupportedError(name_of(codec), f"elements of {dtype} have no fixed size")


def _array_of(data: Any, spec: ArraySpec, order: Any = "C") -> Any:
    if _text.is_text(spec.dtype):
        elements = _text.array_of(data, spec)
    else:
        elements = np.frombuffer(data, dtype=spec.dtype.to_native_dtype())
    return elements.reshape(spec.shape, order=order)


def _bytes_of(array: Any) -> Any:
    return np.ascontiguousarray(array).view("B")


def _image_of(array: Any, spec: ArraySpec) -> Any:
    """The elements of `array` in C order; zarr selects from and assigns with what a codec gives, so NumPy's rules hold."""
    shape = tuple(spec.shape)
    if array.shape != shape:
        if array.ndim < len(shape):
            raise IndexError(f"a codec decoded a chunk of shape {shape} to shape {array.shape}")
        fits = array.ndim == len(shape) and all(
            a >= b or a == 1 for a, b in zip(array.shape, shape, strict=True)
        )
        if not fits:
            raise ValueError(f"a codec decoded a chunk of shape {shape} to shape {array.shape}")
        array = np.broadcast_to(array[tuple(map(slice, shape))], shape)
    if _text.is_text(spec.dtype):
        return _text.bytes_of(array, spec)
    array = np.ascontiguousarray(array, dtype=spec.dtype.to_native_dtype())
    return array.reshape(-1).view("B")
