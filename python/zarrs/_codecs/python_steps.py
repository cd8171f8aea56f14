"""Codecs that stay Python objects, as steps of a native chain: which of their methods are called, with what, and where.

A run of neighbouring codecs is one step for the engine (``src/bindings/python_step.rs``), which passes it bytes on a thread of
its pool. Knows nothing of chunk keys, stores and threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numcodecs.compat import ensure_bytes, ensure_ndarray_like
from zarr.abc.codec import (
    ArrayBytesCodecPartialDecodeMixin,
    ArrayBytesCodecPartialEncodeMixin,
)
from zarr.codecs import ShardingCodec, _v2
from zarr.core.buffer import Buffer, NDBuffer

from zarrs._codecs import vlen
from zarrs._codecs.chain import Chain, Sharding, Step
from zarrs._codecs.describing import name_of
from zarrs._codecs.python_calls import Call, call_of
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zarr.core.array_spec import ArraySpec

    from zarrs._codecs.chain import AnyStep
    from zarrs._internal import Caller

    # A codec, and the spec of the chunk that it is given.
    Given = tuple[Any, ArraySpec]
    # Describes a codec, or raises UnsupportedError.
    Native = Callable[..., Step]
    Taker = Callable[[Any], Any]

# -- chains ------------------------------------------------------------------------------------------------------------


def specs_of(codecs: Iterable[Any], spec: ArraySpec) -> list[ArraySpec]:
    """The spec that zarr's batched pipeline passes to each of `codecs`: of the chunk as the codecs before it leave it."""
    specs = []
    for codec in codecs:
        specs.append(spec)
        spec = codec.resolve_metadata(spec)
    return specs


def leading(codecs: Sequence[Any], native: Callable[[Any], Any]) -> int:
    """How many of the first `codecs` `native` can describe; all from the next one on are left to Python, in their order."""
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
) -> list[AnyStep]:
    """Steps for the engine: those of `steps` that `native` can describe, and runs of Python codecs between them.

    `arrays` stand in front, the last of them an array-to-bytes codec; each codec comes with its spec. `stored_by` receives
    the encoded form of the last step, `read_by` the decoded form of the first.
    """
    made: list[AnyStep] = []
    head = arrays[0][1] if arrays else None
    run = list(arrays)
    for codec, spec in steps:
        try:
            step = native(codec)
        except UnsupportedError:
            run.append((codec, spec))
            continue
        if run:
            made.append(PythonStep(run, head, to_codec, to_codec if made else read_by))
            run, head = [], None
        made.append(step)
    if run:
        made.append(PythonStep(run, head, stored_by, to_codec if made else read_by))
    return made


def places(codecs: Iterable[Any], chain: Chain) -> Iterator[tuple[str, str]]:
    """Class and place ("Rust" or "Python") of each of `codecs`, which `chain` describes, in encoding order."""
    python = list(_python_codecs(chain))
    for codec in codecs:
        parts: tuple[Any, ...] = (codec,)
        if python and type(codec) is _v2.V2Codec:
            parts = (*(codec.filters or ()), *filter(None, (codec.compressor,)))
        for part in parts:
            here = any(part is other for other in python)
            yield type(part).__name__, "Python" if here else "Rust"
        if isinstance(chain.serializer, Sharding) and type(codec) is ShardingCodec:
            yield from _inner_places(chain.serializer.inner)


def _inner_places(chain: Chain) -> Iterator[tuple[str, str]]:
    """Class and place of the Python codecs of a shard's inner `chain`."""
    if isinstance(chain.serializer, Sharding):
        yield from _inner_places(chain.serializer.inner)
    for codec in _python_codecs(chain):
        yield type(codec).__name__, "Python"


def _python_codecs(chain: Chain) -> Iterator[Any]:
    for step in chain.steps:
        if not isinstance(step, Step):
            yield from step.codecs


# -- who receives a codec's result -------------------------------------------------------------------------------------

# Each returns the bytes of a codec's result, or the array, and raises what zarr's own receiver raises for other objects.


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
    """The selection of an array's elements, which accepts NumPy's arrays too."""
    if isinstance(value, NDBuffer):
        return value.as_numpy_array()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a codec must give an NDBuffer, got {type(value).__name__}")
    return value


def to_transposition(value: Any) -> Any:
    """The transpose codec, which calls the method of that name on any object."""
    if not hasattr(value, "transpose"):
        raise AttributeError(f"a codec must give an NDBuffer, got {type(value).__name__}")
    return to_selection(value)


# -- steps -------------------------------------------------------------------------------------------------------------


class PythonStep:
    """Neighbouring codecs of format 3 as one step between bytes and bytes.

    The engine calls `encode` and `decode` on its own threads. Where a codec needs an event loop, which `encodes_on_loop` and
    `decodes_on_loop` say, `encode_on_loop` and `decode_on_loop` are awaited on that of the call instead.
    """

    name: ClassVar[Literal["python"]] = "python"

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
        """The encoded form of `data`, an object with a buffer; None if a codec drops the chunk."""
        return caller.context.copy().run(self._encode, data)

    def decode(self, data: Any, caller: Caller) -> Any:
        """The decoded form of `data`, an object with a buffer; None if a codec returns that."""
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
    """`value` after all `calls` in turn; None as soon as one returns that."""
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


class V2PythonStep:
    """Filters of format 2, and the compressor unless that is native, as one step between bytes and bytes.

    `head` is the spec of the first one's input; None for the bytes of a filter for elements of variable length.
    """

    name: ClassVar[Literal["python"]] = "python"

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
        """As :meth:`PythonStep.encode`."""
        return caller.context.copy().run(self._encode, data)

    def decode(self, data: Any, caller: Caller) -> Any:
        """As :meth:`PythonStep.decode`."""
        return caller.context.copy().run(self._decode, data)

    # Both follow zarr.codecs._v2.V2Codec, whose public methods of 3.1 are coroutines around threads.

    def _encode(self, data: Any) -> Any:
        # The filters for elements of variable length return a bytearray.
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
        # A compressor of numcodecs passes bytes to the filters.
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
        if vlen.is_text(self._head.dtype):
            return vlen.bytes_of(chunk, self._head)
        return chunk.view("B")


# -- data --------------------------------------------------------------------------------------------------------------


def _check_elements(codec: Any, spec: ArraySpec) -> None:
    dtype = spec.dtype.to_native_dtype()
    if (dtype.hasobject or dtype.kind == "T") and not vlen.is_text(spec.dtype):
        raise UnsupportedError(name_of(codec), f"elements of {dtype} have no fixed size")


def _array_of(data: Any, spec: ArraySpec, order: Any = "C") -> Any:
    if vlen.is_text(spec.dtype):
        elements = vlen.elements_of(data, spec)
    else:
        elements = np.frombuffer(data, dtype=spec.dtype.to_native_dtype())
    return elements.reshape(spec.shape, order=order)


def _bytes_of(array: Any) -> Any:
    return np.ascontiguousarray(array).view("B")


def _image_of(array: Any, spec: ArraySpec) -> Any:
    """The elements of `array` in C order. zarr selects from a codec's result and assigns it, so NumPy's rules hold."""
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
    if vlen.is_text(spec.dtype):
        return vlen.bytes_of(array, spec)
    array = np.ascontiguousarray(array, dtype=spec.dtype.to_native_dtype())
    return array.reshape(-1).view("B")
