"""Codecs of a user: the three kinds, synchronous and not, well and badly behaved. Importing registers them."""

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

# Whether this release of zarr knows synchronous methods of codecs.
SYNC = hasattr(zarr_codecs, "SupportsSyncCodec")
# Where codecs ran, and what contexts they saw; tests clear it.
seen: list[Any] = []
word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")


@dataclass(frozen=True)
class Own:
    """What zarr asks of every codec beside its work; the name is the class's."""

    options: dict[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return cls(data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        return {"name": f"own.{type(self).__name__}", "configuration": self.options}

    def compute_encoded_size(self, input_byte_length: int, _spec: Any) -> int:
        raise NotImplementedError


class Sync:
    """Coroutines beside the synchronous methods, as zarr's own codecs have them."""

    async def _decode_single(self: Any, data: Any, spec: Any) -> Any:
        return await asyncio.to_thread(self._decode_sync, data, spec)

    async def _encode_single(self: Any, data: Any, spec: Any) -> Any:
        return await asyncio.to_thread(self._encode_sync, data, spec)


def invert(data: Any, spec: Any) -> Any:
    return spec.prototype.buffer.from_array_like(~data.as_numpy_array())


class Invert(Sync, Own, BytesBytesCodec):
    """Bytes to bytes; keeps the last input that it was given."""

    def _decode_sync(self, data: Any, spec: Any) -> Any:
        seen.append(("decode", threading.current_thread().name, word.get(), data.as_numpy_array()))
        return invert(data, spec)

    def _encode_sync(self, data: Any, spec: Any) -> Any:
        seen.append(("encode", threading.current_thread().name, word.get(), data.as_numpy_array()))
        return invert(data, spec)


class AsyncInvert(Own, BytesBytesCodec):
    """Has coroutines only, which wait."""

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        seen.append(("decode", threading.current_thread().name, word.get(), None))
        await asyncio.sleep(self.options.get("seconds", 0))
        return invert(data, spec)

    async def _encode_single(self, data: Any, spec: Any) -> Any:
        await asyncio.sleep(self.options.get("seconds", 0))
        return invert(data, spec)


class StraightInvert(Own, BytesBytesCodec):
    """Has coroutines only, which never wait."""

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        return invert(data, spec)

    async def _encode_single(self, data: Any, spec: Any) -> Any:
        return invert(data, spec)


class BatchInvert(Own, BytesBytesCodec):
    """Works on batches; a chunk that is None stays None."""

    async def decode(self, batch: Any) -> Any:
        return [None if data is None else invert(data, spec) for data, spec in batch]

    encode = decode


class Plus(Sync, Own, ArrayArrayCodec):
    """Array to array: adds a number, and the place of each element in the chunk, so that order and shape matter."""

    def _step(self, spec: Any) -> Any:
        places = np.arange(np.prod(spec.shape, dtype=int)).reshape(spec.shape)
        return places + self.options.get("number", 3)

    def _decode_sync(self, array: Any, spec: Any) -> Any:
        values = (array.as_numpy_array() - self._step(spec)).astype(spec.dtype.to_native_dtype())
        return spec.prototype.nd_buffer.from_numpy_array(values)

    def _encode_sync(self, array: Any, spec: Any) -> Any:
        assert array.shape == spec.shape
        values = (array.as_numpy_array() + self._step(spec)).astype(spec.dtype.to_native_dtype())
        return spec.prototype.nd_buffer.from_numpy_array(values)


class AsyncPlus(Plus):
    """The same as a coroutine: the synchronous methods of the class above would be wrong for it."""

    async def _decode_single(self, array: Any, spec: Any) -> Any:
        await asyncio.sleep(0)
        return Plus._encode_sync(self, array, spec)

    async def _encode_single(self, array: Any, spec: Any) -> Any:
        await asyncio.sleep(0)
        return Plus._decode_sync(self, array, spec)


class Widen(Sync, Own, ArrayArrayCodec):
    """Array to array of another data type, sixteen times as wide."""

    def resolve_metadata(self, spec: Any) -> Any:
        return replace(spec, dtype=Complex128(), fill_value=0j)

    def _decode_sync(self, array: Any, spec: Any) -> Any:
        values = array.as_numpy_array().real.astype(spec.dtype.to_native_dtype())
        return spec.prototype.nd_buffer.from_numpy_array(values)

    def _encode_sync(self, array: Any, spec: Any) -> Any:
        return spec.prototype.nd_buffer.from_numpy_array(
            array.as_numpy_array().astype("complex128")
        )


class Numbers(Sync, Own, ArrayBytesCodec):
    """Array to bytes: decimal text, deflated."""

    def _decode_sync(self, data: Any, spec: Any) -> Any:
        text = zlib.decompress(data.to_bytes()).decode()
        values = np.array(text.split(), dtype=spec.dtype.to_native_dtype()).reshape(spec.shape)
        return spec.prototype.nd_buffer.from_numpy_array(values)

    def _encode_sync(self, array: Any, spec: Any) -> Any:
        text = " ".join(str(value) for value in array.as_numpy_array().ravel().tolist())
        return spec.prototype.buffer.from_bytes(zlib.compress(text.encode()))


class AsyncNumbers(Own, ArrayBytesCodec):
    """The same, as coroutines only."""

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        await asyncio.sleep(0)
        return Numbers._decode_sync(self, data, spec)  # type: ignore[arg-type]

    async def _encode_single(self, array: Any, spec: Any) -> Any:
        return Numbers._encode_sync(self, array, spec)  # type: ignore[arg-type]


class OwnGzip(GzipCodec):
    """A subclass of a built-in that changes what is stored, in the coroutines alone."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": "own.OwnGzip"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return cls(**data["configuration"])

    async def _decode_single(self, data: Any, spec: Any) -> Any:
        return await super()._decode_single(invert(data, spec), spec)

    async def _encode_single(self, data: Any, spec: Any) -> Any:
        return invert(await super()._encode_single(data, spec), spec)


class PartsOfChunks(ShardingCodec):
    """A subclass of the one built-in that zarr lets read and write parts of a chunk by itself."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": "own.PartsOfChunks"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return super().from_dict({**data, "name": "sharding_indexed"})


class Longer(Sync, Own, BytesBytesCodec):
    """Adds zeros, however many."""

    def _decode_sync(self, data: Any, spec: Any) -> Any:
        kept = data.as_numpy_array()[: -self.options["zeros"]]
        return spec.prototype.buffer.from_array_like(kept)

    def _encode_sync(self, data: Any, spec: Any) -> Any:
        return spec.prototype.buffer.from_bytes(data.to_bytes() + bytes(self.options["zeros"]))


class SameLength(Invert):
    """Bytes to as many bytes, which a shard's index may pass through."""

    is_fixed_size = True

    def compute_encoded_size(self, input_byte_length: int, _spec: Any) -> int:
        return input_byte_length


class IndexBytes(BytesCodec):
    """A class of a user's, as for the name of the built-in."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "name": "own.IndexBytes"}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return super().from_dict({**data, "name": "bytes"})


class IndexCrc32c(Crc32cCodec):
    def to_dict(self) -> dict[str, Any]:
        return {"name": "own.IndexCrc32c"}

    @classmethod
    def from_dict(cls, _data: dict[str, Any]) -> Any:
        return cls()


class Faulty(Sync, Own, BytesBytesCodec):
    """Does what `options["decode"]` and `options["encode"]` say."""

    def _do(self, what: str | None, data: Any, spec: Any) -> Any:
        values = data.as_numpy_array()
        if what == "raise":
            raise OwnError("no")
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


class OwnError(Exception):
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
    OwnGzip,
    PartsOfChunks,
    Longer,
    SameLength,
    IndexBytes,
    IndexCrc32c,
    Faulty,
    AsyncFaulty,
)
for own in ALL:
    register_codec(f"own.{own.__name__}", own)
