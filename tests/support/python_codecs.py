"""Python codecs of all three kinds: synchronous and asynchronous, well and badly behaved. Importing registers them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from zarr.abc import codec as zarr_codecs
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.codecs import BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec
from zarr.dtype import Complex128
from zarr.registry import register_codec

# Whether this release of zarr defines synchronous codec methods.
SYNC = hasattr(zarr_codecs, "SupportsSyncCodec")
# Where codecs ran and which context they saw; cleared by the tests.
seen: list[Any] = []
word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")


@dataclass(frozen=True)
class Named:
    """The methods that zarr requires beside encoding and decoding; a codec is named after its class."""

    options: dict[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return cls(data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        return {"name": f"py.{type(self).__name__}", "configuration": self.options}

    def compute_encoded_size(self, input_byte_length: int, _spec: Any) -> int:
        raise NotImplementedError


class Sync:
    """Coroutines that wrap the synchronous methods, as in zarr's own codecs."""

    async def _decode_single(self: Any, data: Any, spec: Any) -> Any:
        return await asyncio.to_thread(self._decode_sync, data, spec)

    async def _encode_single(self: Any, data: Any, spec: Any) -> Any:
        return await asyncio.to_thread(self._encode_sync, data, spec)


def invert(data: Any, spec: Any) -> Any:
    return spec.prototype.buffer.from_array_like(~data.as_numpy_array())


class Invert(Sync, Named, BytesBytesCodec):
    """Bytes to bytes; records its inputs in `seen`."""

    def _decode_sync(self, data: Any, spec: Any) -> Any:
        seen.append(("decode", threading.current_thread().name, word.get(), data.as_numpy_array()))
        return invert(data, spec)

    def _encode_sync(self, data: Any, spec: Any) -> Any:
        seen.append(("encode", threading.current_thread().name, word.get(), data.as_numpy_array()))
        return invert(data, spec)


class AsyncInvert(Named, BytesBytesCodec):
    """Coroutines only, which suspend."""

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        seen.append(("decode", threading.current_thread().name, word.get(), None))
        await asyncio.sleep(self.options.get("seconds", 0))
        return invert(data, spec)

    async def _encode_single(self, data: Any, spec: Any) -> Any:
        await asyncio.sleep(self.options.get("seconds", 0))
        return invert(data, spec)


class StraightInvert(Named, BytesBytesCodec):
    """Coroutines only, which never suspend."""

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        return invert(data, spec)

    async def _encode_single(self, data: Any, spec: Any) -> Any:
        return invert(data, spec)


class BatchInvert(Named, BytesBytesCodec):
    """Overrides the batch methods; a chunk that is None stays None."""

    async def decode(self, batch: Any) -> Any:
        return [None if data is None else invert(data, spec) for data, spec in batch]

    encode = decode


class Plus(Sync, Named, ArrayArrayCodec):
    """Array to array: adds a number and each element's position in the chunk, so that order and shape matter."""

    def _step(self, spec: Any) -> Any:
        positions = np.arange(np.prod(spec.shape, dtype=int)).reshape(spec.shape)
        return positions + self.options.get("number", 3)

    def _decode_sync(self, array: Any, spec: Any) -> Any:
        values = (array.as_numpy_array() - self._step(spec)).astype(spec.dtype.to_native_dtype())
        return spec.prototype.nd_buffer.from_numpy_array(values)

    def _encode_sync(self, array: Any, spec: Any) -> Any:
        assert array.shape == spec.shape
        values = (array.as_numpy_array() + self._step(spec)).astype(spec.dtype.to_native_dtype())
        return spec.prototype.nd_buffer.from_numpy_array(values)


class AsyncPlus(Plus):
    """Coroutines that do the opposite of the inherited synchronous methods, which must therefore not be called."""

    async def _decode_single(self, array: Any, spec: Any) -> Any:
        await asyncio.sleep(0)
        return Plus._encode_sync(self, array, spec)

    async def _encode_single(self, array: Any, spec: Any) -> Any:
        await asyncio.sleep(0)
        return Plus._decode_sync(self, array, spec)


class Widen(Sync, Named, ArrayArrayCodec):
    """Array to array, of a wider data type: complex128."""

    def resolve_metadata(self, spec: Any) -> Any:
        return replace(spec, dtype=Complex128(), fill_value=0j)

    def _decode_sync(self, array: Any, spec: Any) -> Any:
        values = array.as_numpy_array().real.astype(spec.dtype.to_native_dtype())
        return spec.prototype.nd_buffer.from_numpy_array(values)

    def _encode_sync(self, array: Any, spec: Any) -> Any:
        return spec.prototype.nd_buffer.from_numpy_array(
            array.as_numpy_array().astype("complex128")
        )


class Numbers(Sync, Named, ArrayBytesCodec):
    """Array to bytes: decimal text, deflated."""

    def _decode_sync(self, data: Any, spec: Any) -> Any:
        text = zlib.decompress(data.to_bytes()).decode()
        values = np.array(text.split(), dtype=spec.dtype.to_native_dtype()).reshape(spec.shape)
        return spec.prototype.nd_buffer.from_numpy_array(values)

    def _encode_sync(self, array: Any, spec: Any) -> Any:
        text = " ".join(str(value) for value in array.as_numpy_array().ravel().tolist())
        return spec.prototype.buffer.from_bytes(zlib.compress(text.encode()))


class AsyncNumbers(Named, ArrayBytesCodec):
    """`Numbers` with coroutines only."""

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        await asyncio.sleep(0)
        return Numbers._decode_sync(self, data, spec)  # type: ignore[arg-type]

    async def _encode_single(self, array: Any, spec: Any) -> Any:
        return Numbers._encode_sync(self, array, spec)  # type: ignore[arg-type]


class InvertedGzip(GzipCodec):
    """A subclass of a built-in codec that changes the stored bytes, by overriding the coroutines only."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": "py.InvertedGzip"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return cls(**data["configuration"])

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        return await super()._decode_single(invert(data, spec), spec)

    async def _encode_single(self, data: Any, spec: Any) -> Any:
        return invert(await super()._encode_single(data, spec), spec)


class PartsOfChunks(ShardingCodec):
    """A subclass of the only built-in codec that supports partial decoding and encoding."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": "py.PartsOfChunks"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return super().from_dict({**data, "name": "sharding_indexed"})


class Longer(Sync, Named, BytesBytesCodec):
    """Appends a given number of zeros."""

    def _decode_sync(self, data: Any, spec: Any) -> Any:
        kept = data.as_numpy_array()[: -self.options["zeros"]]
        return spec.prototype.buffer.from_array_like(kept)

    def _encode_sync(self, data: Any, spec: Any) -> Any:
        return spec.prototype.buffer.from_bytes(data.to_bytes() + bytes(self.options["zeros"]))


class SameLength(Invert):
    """Bytes to bytes of the same length, so that it may encode a shard index."""

    is_fixed_size = True

    def compute_encoded_size(self, input_byte_length: int, _spec: Any) -> int:
        return input_byte_length


class IndexBytes(BytesCodec):
    """A subclass of the built-in bytes codec, under another name."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": "py.IndexBytes"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return super().from_dict({**data, "name": "bytes"})


class IndexCrc32c(Crc32cCodec):
    def to_dict(self) -> dict[str, Any]:
        return {"name": "py.IndexCrc32c"}

    @classmethod
    def from_dict(cls, _data: dict[str, Any]) -> Any:
        return cls()


class Faulty(Sync, Named, BytesBytesCodec):
    """Fails in the way that `options["decode"]` and `options["encode"]` name."""

    def _do(self, what: str | None, data: Any, spec: Any) -> Any:
        values = data.as_numpy_array()
        if what == "raise":
            raise CodecError("no")
        if what == "shorter":
            values = values[:-1]
        elif what == "half":
            values = values[: len(values) // 2]
        elif what == "longer":
            values = np.append(values, values[:4])
        elif what == "nothing":
            return None
        elif what == "bytes":
            return values.tobytes()
        elif what == "sleep":
            time.sleep(0.2)
        return spec.prototype.buffer.from_array_like(values)

    def _decode_sync(self, data: Any, spec: Any) -> Any:
        return self._do(self.options.get("decode"), data, spec)

    def _encode_sync(self, data: Any, spec: Any) -> Any:
        return self._do(self.options.get("encode"), data, spec)


class AsyncFaulty(Faulty):
    async def _decode_single(self, data: Any, spec: Any) -> Any:
        await asyncio.sleep(0)
        return self._decode_sync(data, spec)

    async def _encode_single(self, data: Any, spec: Any) -> Any:
        await asyncio.sleep(0)
        return self._encode_sync(data, spec)


class CodecError(Exception):
    """What a codec raises."""


ALL = (
    Invert,
    AsyncInvert,
    StraightInvert,
    BatchInvert,
    Plus,
    AsyncPlus,
    Widen,
    Numbers,
    AsyncNumbers,
    InvertedGzip,
    PartsOfChunks,
    Longer,
    SameLength,
    IndexBytes,
    IndexCrc32c,
    Faulty,
    AsyncFaulty,
)
for codec in ALL:
    register_codec(f"py.{codec.__name__}", codec)
