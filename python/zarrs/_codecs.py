"""zarr's codec objects as specifications for the engine (their layout: ``src/bindings/engine.rs``).

A codec counts as known by its exact class: a subclass, or a class registered over a built-in's name, runs as itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs
import numcodecs.blosc
import numcodecs.gzip
import numcodecs.zlib
import numcodecs.zstd
import numpy as np
from packaging.version import Version
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    VLenBytesCodec,
    VLenUTF8Codec,
    ZstdCodec,
)
from zarr.codecs._v2 import V2Codec
from zarr.core.array_spec import ArraySpec
from zarr.core.codec_pipeline import codecs_from_list

from zarrs import _text as _text_types
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.abc.codec import Codec

# Older releases of numcodecs know no typesize; zarr then compresses bytes of size one.
_BLOSC_HAS_TYPESIZE = Version(numcodecs.__version__) >= Version("0.16.0")
_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


class ChainSpec:
    """A chain's specification, and the byte order of its elements (None: the data type's own)."""

    __slots__ = ("chain", "endian")

    def __init__(self, chain: tuple[Any, ...], endian: str | None) -> None:
        self.chain = chain
        self.endian = endian


def split(codecs: Iterable[Codec]) -> tuple[tuple[Any, ...], Any, tuple[Any, ...]]:
    """Array-to-array, array-to-bytes and bytes-to-bytes codecs, refused as zarr refuses a wrong order."""
    from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec

    codecs = tuple(codecs)
    arrays = tuple(c for c in codecs if isinstance(c, ArrayArrayCodec))
    serializers = tuple(c for c in codecs if isinstance(c, ArrayBytesCodec))
    steps = tuple(c for c in codecs if isinstance(c, BytesBytesCodec))
    if len(serializers) != 1 or (*arrays, *serializers, *steps) != codecs:
        return codecs_from_list(codecs)
    return arrays, serializers[0], steps


def evolve(codecs: Iterable[Codec], spec: ArraySpec) -> tuple[Codec, ...]:
    """`codecs` adapted to chunks of `spec`, each to what the ones before it leave."""
    spec = _hashable(spec, spec.shape)
    evolved = []
    for codec in codecs:
        adapted = codec.evolve_from_array_spec(array_spec=spec)
        evolved.append(adapted)
        spec = adapted.resolve_metadata(spec)
    return tuple(evolved)


def chain_of(codecs: Iterable[Codec], spec: ArraySpec) -> ChainSpec:
    """The specification of `codecs` for chunks of `spec`.

    Raises
    ------
    UnsupportedError
        If one of them is not native.
    """
    arrays, serializer, steps = split(codecs)
    if type(serializer) is V2Codec and not arrays and not steps:
        return _v2_chain(serializer, spec)
    orders = [_order(codec) for codec in arrays]
    if type(serializer) is BytesCodec:
        _text_types.name_of(serializer, spec)
        inner: tuple[Any, ...] = ("bytes",)
        endian = _text(serializer.endian)
    elif type(serializer) in (VLenUTF8Codec, VLenBytesCodec):
        inner = (_text_types.name_of(serializer, spec),)
        endian = None
    elif type(serializer) is ShardingCodec:
        for codec in arrays:
            spec = codec.resolve_metadata(spec)
        inner, endian = _sharding(serializer, spec)
    else:
        raise UnsupportedError(_name(serializer), "this array-to-bytes codec is not native")
    return ChainSpec((orders, inner, [_step(codec) for codec in steps]), endian)


def _hashable(spec: ArraySpec, shape: tuple[int, ...]) -> ArraySpec:
    """`spec` for chunks of `shape`. zarr 3.1 keeps specs in caches, where a void fill value cannot be a key."""
    fill_value = None if isinstance(spec.fill_value, np.void) else spec.fill_value
    return ArraySpec(shape, spec.dtype, fill_value, spec.config, spec.prototype)


def _order(codec: Any) -> list[int]:
    if type(codec) is not TransposeCodec:
        raise UnsupportedError(_name(codec), "this array-to-array codec is not native")
    return [int(axis) for axis in codec.order]


def _sharding(codec: Any, spec: ArraySpec) -> tuple[tuple[Any, ...], str | None]:
    inner_spec = _hashable(spec, codec.chunk_shape)
    inner = chain_of(evolve(codec.codecs, inner_spec), inner_spec)
    arrays, serializer, steps = split(codec.index_codecs)
    if type(serializer) is not BytesCodec:
        raise UnsupportedError(_name(codec), "its index is not stored as plain bytes")
    index_steps = []
    for step in steps:
        if type(step) is not Crc32cCodec:
            raise UnsupportedError(_name(step), "this codec of a shard index is not native")
        index_steps.append(_step(step))
    order = getattr(codec, "subchunk_write_order", "morton")
    spec_tuple = (
        "sharding",
        [int(size) for size in codec.chunk_shape],
        inner.chain,
        _text(serializer.endian) == "big",
        index_steps,
        _text(codec.index_location) == "start",
        order,
        [_order(step) for step in arrays],
    )
    return spec_tuple, inner.endian


def _step(codec: Any) -> tuple[Any, ...]:
    kind = type(codec)
    if kind is ZstdCodec:
        return ("zstd", codec.level, codec.checksum)
    if kind is GzipCodec:
        return ("gzip", codec.level)
    if kind is Crc32cCodec:
        return ("crc32c",)
    if kind is BloscCodec:
        typesize = codec.typesize if _BLOSC_HAS_TYPESIZE else 1
        shuffle = _SHUFFLES[_text(codec.shuffle) or "noshuffle"]
        return _blosc(_text(codec.cname) or "", codec.clevel, shuffle, codec.blocksize, typesize)
    raise UnsupportedError(_name(codec), "this bytes-to-bytes codec is not native")


def _blosc(cname: str, clevel: int, shuffle: int, blocksize: int, typesize: int) -> tuple[Any, ...]:
    if cname == "snappy":
        raise UnsupportedError("codec blosc", "the snappy compressor is not built in")
    return ("blosc", cname, clevel, shuffle, blocksize, typesize)


def _v2_chain(codec: Any, spec: ArraySpec) -> ChainSpec:
    filters = tuple(codec.filters or ())
    text = _text_types.name_of(filters[0] if filters else None, spec)
    if text is not None:
        filters = filters[1:]
    if filters:
        names = ", ".join(str(getattr(f, "codec_id", type(f).__name__)) for f in filters)
        raise UnsupportedError(f"filters {names}", "filters of format 2 are not native")
    order = spec.config.order
    rank = len(spec.shape)
    # Order F is a transposition that reverses the dimensions.
    orders = [list(range(rank))[::-1]] if order == "F" and rank > 1 else []
    steps = [] if codec.compressor is None else [_v2_step(codec.compressor, spec)]
    if text is not None:
        steps = [_text_types.step_of_bytes(step, codec.compressor) for step in steps]
    return ChainSpec((orders, (text or "bytes",), steps), None)


def _v2_step(compressor: Any, spec: ArraySpec) -> tuple[Any, ...]:
    kind = type(compressor)
    if kind is numcodecs.zstd.Zstd:
        return ("zstd", compressor.level, bool(getattr(compressor, "checksum", False)))
    if kind is numcodecs.gzip.GZip:
        return ("gzip", compressor.level)
    if kind is numcodecs.zlib.Zlib:
        return ("zlib", compressor.level)
    if kind is numcodecs.blosc.Blosc:
        item_size = spec.dtype.to_native_dtype().itemsize
        typesize = getattr(compressor, "typesize", None) or item_size
        cname = compressor.cname
        return _blosc(
            cname if isinstance(cname, str) else cname.decode(),
            compressor.clevel,
            compressor.shuffle,
            compressor.blocksize,
            typesize,
        )
    name = getattr(compressor, "codec_id", kind.__name__)
    raise UnsupportedError(f"codec {name}", "this compressor of format 2 is not native")


def _text(value: Any) -> str | None:
    """A codec attribute that is a string from zarr 3.3 on, and an Enum member before."""
    return None if value is None else str(getattr(value, "value", value))


def _name(codec: Any) -> str:
    kind = type(codec)
    return f"codec {kind.__module__}.{kind.__qualname__}"
