"""zarr's codec objects as specifications for the engine (their layout: ``src/bindings/chunk_format.rs``).

A codec counts as known by its exact class: a subclass, or a class registered over a built-in's name, runs as itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numcodecs
import numcodecs.bitround
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

from zarrs import _filters, _python_steps
from zarrs import _text as _text_types
from zarrs._describing import describes, name_of
from zarrs._numcodecs import blosc_step, bytes_step, is_checksum, wrapped_step
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.abc.codec import Codec

# Older releases of numcodecs know no typesize; zarr then compresses bytes of size one.
_BLOSC_HAS_TYPESIZE = Version(numcodecs.__version__) >= Version("0.16.0")
# Array-to-bytes codecs of which the data type says whether they fit.
_OF_ELEMENTS = (BytesCodec, VLenUTF8Codec, VLenBytesCodec)
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


def chain_of(
    codecs: Iterable[Codec], spec: ArraySpec, stored_by: Any = _python_steps.to_store
) -> ChainSpec:
    """The specification of `codecs` for chunks of `spec`; `stored_by` of ``_python_steps.py`` gets what they make.

    Raises
    ------
    UnsupportedError
        If one of them can be neither a native step nor a Python step.
    """
    arrays, serializer, steps = split(codecs)
    if type(serializer) is V2Codec and not arrays and not steps:
        try:
            return _v2_chain(serializer, spec)
        except UnsupportedError:
            return ChainSpec(_python_steps.v2_chain(serializer, spec, _v2_step), None)
    specs = _python_steps.specs_of((*arrays, serializer, *steps), spec)
    after = list(zip(steps, specs[len(arrays) + 1 :], strict=True))
    try:
        orders, filters, dtype = _array_codecs(arrays, specs)
        native = _serializer(serializer, specs[len(arrays)], dtype, filters)
    except UnsupportedError:
        native = None
    if native is not None:
        inner, endian, filters = native
        filters += _python_steps.join([], after, _step, stored_by, _python_steps.to_shard)
        return ChainSpec((orders, inner, filters), endian)
    if not arrays and not steps:
        _check_alone(serializer, spec)
    leading = _python_steps.leading(arrays, _order)
    python = list(zip((*arrays[leading:], serializer), specs[leading:], strict=False))
    orders = [_order(codec) for codec in arrays[:leading]]
    image = (_text_types.image_of(specs[leading]) or "bytes",)
    read_by = _python_steps.to_transposition if leading else _python_steps.to_selection
    return ChainSpec(
        (orders, image, _python_steps.join(python, after, _step, stored_by, read_by)), None
    )


def _check_alone(codec: Any, spec: ArraySpec) -> None:
    """Refuses an array-to-bytes codec that zarr lets read and write parts of chunks, with nothing beside it.

    Not zarr's own for shards whose index alone is foreign: a whole shard holds the same elements as its parts.
    """
    if type(codec) is ShardingCodec:
        _inner(codec, spec)
    else:
        _python_steps.check_serializer(codec)


def _serializer(
    codec: Any, spec: ArraySpec, dtype: np.dtype[Any], filters: list[tuple[Any, ...]]
) -> tuple[tuple[Any, ...], str | None, list[tuple[Any, ...]]] | None:
    """The array-to-bytes codec behind steps that leave elements of `dtype`: its own form, byte order, all such steps.

    None if it is not native.
    """
    text = _text_types.name_of(codec, spec) if type(codec) in _OF_ELEMENTS else None
    if text is not None:
        return (text,), None, []
    if type(codec) is BytesCodec:
        endian = _text(codec.endian)
        if not filters:
            return ("bytes",), endian, []
        # The image is what the first filter is given: in the data type's own byte order.
        return ("bytes",), None, [*filters, *_filters.swap_step(dtype, endian)]
    if type(codec) is ShardingCodec:
        if filters:
            raise UnsupportedError(
                name_of(codec), "codecs that change numbers stand in front of it"
            )
        return (*_sharding(codec, spec), [])
    if pcodec := _filters.pcodec_step(codec, dtype):
        return ("bytes",), None, [*filters, pcodec.spec]
    return None


def _array_codecs(
    codecs: tuple[Any, ...], specs: list[ArraySpec]
) -> tuple[list[list[int]], list[tuple[Any, ...]], np.dtype[Any]]:
    """Transpositions, steps over flat elements, and the data type that they leave; each codec has its own of `specs`."""
    orders: list[list[int]] = []
    steps: list[tuple[Any, ...]] = []
    dtype = specs[0].dtype.to_native_dtype()
    flattened = False
    for codec, spec in zip(codecs, specs, strict=False):
        if type(codec) is TransposeCodec:
            # All transpositions come first: they change places with steps that look at each element by itself.
            if flattened:
                raise UnsupportedError(
                    name_of(codec), "it stands behind a codec that takes elements in order"
                )
            orders.append(_order(codec))
        else:
            step = _filters.array_step(codec, spec, dtype)
            if step is None:
                raise UnsupportedError(name_of(codec), "this array-to-array codec is not native")
            steps.append(step.spec)
            dtype = step.dtype
            flattened |= step.flattens
    return orders, steps, dtype


def _hashable(spec: ArraySpec, shape: tuple[int, ...]) -> ArraySpec:
    """`spec` for chunks of `shape`. zarr 3.1 keeps specs in caches, where a void fill value cannot be a key."""
    fill_value = None if isinstance(spec.fill_value, np.void) else spec.fill_value
    return ArraySpec(shape, spec.dtype, fill_value, spec.config, spec.prototype)


def _order(codec: Any) -> list[int]:
    if type(codec) is not TransposeCodec:
        raise UnsupportedError(name_of(codec), "this array-to-array codec is not native")
    return [int(axis) for axis in codec.order]


def _inner(codec: Any, spec: ArraySpec) -> ChainSpec:
    """The chain of a shard's subchunks."""
    spec = _hashable(spec, codec.chunk_shape)
    return chain_of(evolve(codec.codecs, spec), spec, _python_steps.to_shard)


def _sharding(codec: Any, spec: ArraySpec) -> tuple[tuple[Any, ...], str | None]:
    inner = _inner(codec, spec)
    arrays, serializer, steps = split(codec.index_codecs)
    if type(serializer) is not BytesCodec:
        raise UnsupportedError(name_of(codec), "its index is not stored as plain bytes")
    index_steps = []
    for step in steps:
        described = _step(step)
        if type(step) is not Crc32cCodec and not is_checksum(described):
            raise UnsupportedError(name_of(step), "this codec of a shard index is not native")
        index_steps.append(described)
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


@describes
def _step(codec: Any) -> tuple[Any, ...]:
    kind = type(codec)
    if kind is ZstdCodec:
        if not -(2**31) <= codec.level < 2**31:
            raise UnsupportedError(name_of(codec), f"its level {codec.level} is out of range")
        return ("zstd", codec.level, codec.checksum)
    if kind is GzipCodec:
        return ("gzip", codec.level)
    if kind is Crc32cCodec:
        return ("crc32c",)
    if kind is BloscCodec:
        typesize = codec.typesize if _BLOSC_HAS_TYPESIZE else 1
        shuffle = _SHUFFLES[_text(codec.shuffle) or "noshuffle"]
        cname = _text(codec.cname) or ""
        return blosc_step(cname, codec.clevel, shuffle, codec.blocksize, typesize)
    step = wrapped_step(codec)
    if step is None:
        raise UnsupportedError(name_of(codec), "this bytes-to-bytes codec is not native")
    return step


def _v2_chain(codec: Any, spec: ArraySpec) -> ChainSpec:
    filters = tuple(codec.filters or ())
    text = _text_types.name_of(filters[0] if filters else None, spec)
    order = spec.config.order
    rank = len(spec.shape)
    # Order F is a transposition that reverses the dimensions.
    orders = [list(range(rank))[::-1]] if order == "F" and rank > 1 else []
    dtype = spec.dtype.to_native_dtype()
    if text is not None:
        filters = filters[1:]
        dtype = np.dtype("u1")
    try:
        steps = _v2_steps(codec, filters, dtype, bool(orders))
    except UnsupportedError:
        if text is None:
            raise
        # All that stands behind the filter for text is given bytes.
        steps = [("python", _python_steps.V2Steps(filters, codec.compressor, False, spec, None))]
    return ChainSpec((orders, (text or "bytes",), steps), None)


def _v2_steps(
    codec: Any, filters: tuple[Any, ...], dtype: np.dtype[Any], turned: bool
) -> list[tuple[Any, ...]]:
    """The steps of `filters`, the first of which is given elements of `dtype`, and of the compressor of `codec`."""
    compressors = () if codec.compressor is None else (codec.compressor,)
    steps = []
    for one in (*filters, *compressors):
        if turned and type(one) is numcodecs.bitround.BitRound:
            raise UnsupportedError(name_of(one), "it leaves chunks of order F in order C")
        step = _filters.filter_step(one, dtype)
        steps.append(_v2_step(one, dtype) if step is None else step.spec)
        dtype = np.dtype("u1") if step is None else step.dtype
    return steps


@describes
def _v2_step(codec: Any, dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """The step of a bytes codec of format 2, filter or compressor, that is given elements of `dtype`."""
    step = bytes_step(codec, dtype)
    if step is None:
        raise UnsupportedError(name_of(codec), "this codec of format 2 is not native")
    return step


def _text(value: Any) -> str | None:
    """A codec attribute that is a string from zarr 3.3 on, and an Enum member before."""
    return None if value is None else str(getattr(value, "value", value))
