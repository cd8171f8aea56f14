"""Chains of zarr's codec objects as descriptions for the engine (``chain``); format 2, which is one codec, is in ``v2``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.codecs import (
    BytesCodec,
    ShardingCodec,
    TransposeCodec,
    VLenBytesCodec,
    VLenUTF8Codec,
)
from zarr.codecs._v2 import V2Codec
from zarr.core.array_spec import ArraySpec
from zarr.core.codec_pipeline import codecs_from_list

from zarrs._codecs import numbers, python_steps, v2, vlen
from zarrs._codecs.bytes_to_bytes import has_fixed_size, step_of, text_of
from zarrs._codecs.chain import Chain, Sharding
from zarrs._codecs.describing import name_of
from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.abc.codec import Codec

    from zarrs._codecs.chain import Step, Vlen

    # The array-to-bytes codec, the byte order of its elements, and the steps in front of it.
    Serializer = tuple[Literal["bytes"] | Vlen | Sharding, str | None, list[Step]]

# Array-to-bytes codecs whose data type decides whether they are native.
_OF_ELEMENTS = (BytesCodec, VLenUTF8Codec, VLenBytesCodec)


def split(codecs: Iterable[Codec]) -> tuple[tuple[Any, ...], Any, tuple[Any, ...]]:
    """Array-to-array, array-to-bytes and bytes-to-bytes codecs, refused as zarr refuses a wrong order."""
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
    codecs: Iterable[Codec], spec: ArraySpec, stored_by: Any = python_steps.to_store
) -> Chain:
    """The chain of `codecs` for chunks of `spec`; `stored_by`, of ``python_steps``, receives what they encode.

    Raises
    ------
    UnsupportedError
        If one of them can be neither a native step nor a Python step.
    """
    arrays, serializer, steps = split(codecs)
    if type(serializer) is V2Codec and not arrays and not steps:
        return v2.chain_of(serializer, spec)
    specs = python_steps.specs_of((*arrays, serializer, *steps), spec)
    after = list(zip(steps, specs[len(arrays) + 1 :], strict=True))
    try:
        transpose, filters, dtype = _array_codecs(arrays, specs)
        native = _serializer(serializer, specs[len(arrays)], dtype, filters)
    except UnsupportedError:
        native = None
    if native is not None:
        own, endian, filters = native
        joined = python_steps.join([], after, step_of, stored_by, python_steps.to_shard)
        return Chain(transpose, own, [*filters, *joined], endian)
    if not arrays and not steps:
        _check_alone(serializer, spec)
    leading = python_steps.leading(arrays, _order)
    python = list(zip((*arrays[leading:], serializer), specs[leading:], strict=False))
    image = vlen.image_of(specs[leading]) or "bytes"
    read_by = python_steps.to_transposition if leading else python_steps.to_selection
    joined = python_steps.join(python, after, step_of, stored_by, read_by)
    return Chain([_order(codec) for codec in arrays[:leading]], image, joined)


def _check_alone(codec: Any, spec: ArraySpec) -> None:
    """Refuses an array-to-bytes codec that zarr lets read and write parts of chunks, with nothing beside it.

    Not zarr's own for shards whose index alone is foreign: a whole shard holds the same elements as its parts.
    """
    if type(codec) is ShardingCodec:
        _inner(codec, spec)
    else:
        python_steps.check_serializer(codec)


def _serializer(
    codec: Any, spec: ArraySpec, dtype: np.dtype[Any], filters: list[Step]
) -> Serializer | None:
    """The array-to-bytes codec behind `filters`, which leave elements of `dtype`; None if it is not native."""
    name = vlen.name_of(codec, spec) if type(codec) in _OF_ELEMENTS else None
    if name is not None:
        return name, None, []
    if type(codec) is BytesCodec:
        endian = text_of(codec.endian)
        if not filters:
            return "bytes", endian, []
        # The image is the first filter's input: in the data type's own byte order.
        return "bytes", None, [*filters, *numbers.swap_step(dtype, endian)]
    if type(codec) is ShardingCodec:
        if filters:
            raise UnsupportedError(
                name_of(codec), "codecs that change numbers stand in front of it"
            )
        sharding = _sharding(codec, spec)
        return sharding, sharding.inner.endian, []
    if pcodec := numbers.pcodec_step(codec, dtype):
        return "bytes", None, [*filters, pcodec.step]
    return None


def _array_codecs(
    codecs: tuple[Any, ...], specs: list[ArraySpec]
) -> tuple[list[list[int]], list[Step], np.dtype[Any]]:
    """Transpositions, steps over flat elements, and the data type that they leave; each codec has its own of `specs`."""
    orders: list[list[int]] = []
    steps: list[Step] = []
    dtype = specs[0].dtype.to_native_dtype()
    flattened = False
    for codec, spec in zip(codecs, specs, strict=False):
        if type(codec) is TransposeCodec:
            # All transpositions come first: they commute with steps that treat each element by itself.
            if flattened:
                raise UnsupportedError(
                    name_of(codec), "it stands behind a codec that takes elements in order"
                )
            orders.append(_order(codec))
        else:
            step = numbers.array_step(codec, spec, dtype)
            if step is None:
                raise UnsupportedError(name_of(codec), "this array-to-array codec is not native")
            steps.append(step.step)
            dtype = step.dtype
            flattened |= step.flattens
    return orders, steps, dtype


def _hashable(spec: ArraySpec, shape: tuple[int, ...]) -> ArraySpec:
    """`spec` for chunks of `shape`. zarr 3.1 keeps specs in caches, where a void fill value cannot be a key."""
    is_void = isinstance(spec.fill_value, np.void)
    if not is_void and spec.shape == shape:
        return spec
    fill_value = None if is_void else spec.fill_value
    return ArraySpec(shape, spec.dtype, fill_value, spec.config, spec.prototype)


def _order(codec: Any) -> list[int]:
    if type(codec) is not TransposeCodec:
        raise UnsupportedError(name_of(codec), "this array-to-array codec is not native")
    return [int(axis) for axis in codec.order]


def _inner(codec: Any, spec: ArraySpec) -> Chain:
    """The chain of a shard's subchunks."""
    spec = _hashable(spec, codec.chunk_shape)
    return chain_of(evolve(codec.codecs, spec), spec, python_steps.to_shard)


def _sharding(codec: Any, spec: ArraySpec) -> Sharding:
    inner = _inner(codec, spec)
    arrays, serializer, steps = split(codec.index_codecs)
    if type(serializer) is not BytesCodec:
        raise UnsupportedError(name_of(codec), "its index is not stored as plain bytes")
    return Sharding(
        chunk_shape=[int(size) for size in codec.chunk_shape],
        inner=inner,
        index_transpose=[_order(step) for step in arrays],
        index_big_endian=text_of(serializer.endian) == "big",
        index_steps=[_index_step(step) for step in steps],
        index_at_start=text_of(codec.index_location) == "start",
        write_order=getattr(codec, "subchunk_write_order", "morton"),
    )


def _index_step(codec: Any) -> Step:
    step = step_of(codec)
    if not has_fixed_size(step):
        raise UnsupportedError(name_of(codec), "this codec of a shard index is not native")
    return step
