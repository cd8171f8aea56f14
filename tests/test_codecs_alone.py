"""A pipeline built from codecs alone, as zarr's sharding codec builds it: encode, decode, sizes.

The oracle is zarr's own pipeline of the same codecs. Pipelines of arrays are in test_contract.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    ZstdCodec,
)
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.registry import get_pipeline_class

if TYPE_CHECKING:
    from zarr.abc.codec import Codec, CodecPipeline
    from zarr.abc.store import Store

OLD = "zarr.core.codec_pipeline.BatchedCodecPipeline"


def spec_of(shape: tuple[int, ...], dtype: str, fill_value: Any = 0, order: str = "C") -> ArraySpec:
    config = ArrayConfig.from_dict({"order": order})
    prototype = default_buffer_prototype()
    zdtype = zarr.create_array({}, shape=(1,), dtype=dtype).metadata.data_type
    return ArraySpec(shape, zdtype, zdtype.cast_scalar(fill_value), config, prototype)


CHAINS: dict[str, list[Codec]] = {
    "bytes": [BytesCodec()],
    "big": [BytesCodec(endian="big")],
    "crc32c": [BytesCodec(), Crc32cCodec()],
    "zstd": [BytesCodec(), ZstdCodec()],
    "gzip_crc32c": [BytesCodec(), GzipCodec(), Crc32cCodec()],
    "blosc": [BytesCodec(), BloscCodec(typesize=4, shuffle="shuffle")],
    "transpose": [TransposeCodec(order=(1, 0)), BytesCodec(), ZstdCodec()],
    "sharding": [ShardingCodec(chunk_shape=(2, 2), codecs=[BytesCodec(), ZstdCodec()])],
}


def zarrs_and_zarr(codecs: list[Codec], spec: ArraySpec, *, evolved: bool) -> list[CodecPipeline]:
    """The pipeline under test and zarr's own, built from the same codecs."""
    ours = get_pipeline_class().from_codecs(codecs)
    with zarr.config.set({"codec_pipeline.path": OLD}):
        zarrs_own = get_pipeline_class()
    if not evolved:
        return [ours, zarrs_own.from_codecs(codecs)]
    # Evolved one by one: in 3.1.6 the pipeline's own method loses codecs.
    evolved_codecs = [codec.evolve_from_array_spec(spec) for codec in codecs]
    return [ours.evolve_from_array_spec(spec), zarrs_own.from_codecs(evolved_codecs)]


@pytest.mark.parametrize("evolved", [True, False])
@pytest.mark.parametrize("chain", CHAINS)
def test_codecs_alone_encode_and_decode_as_zarrs_own(chain: str, evolved: bool) -> None:
    spec = spec_of((4, 6), "int32")
    ours, zarrs_own = zarrs_and_zarr(CHAINS[chain], spec, evolved=evolved)
    values = [np.arange(24, dtype="int32").reshape(4, 6), np.full((4, 6), 3, "int32", order="F")]
    buffers = [(spec.prototype.nd_buffer.from_numpy_array(value), spec) for value in values]
    encoded = list(asyncio.run(ours.encode([*buffers, (None, spec)])))
    assert encoded[2] is None
    expected = list(asyncio.run(zarrs_own.encode(buffers)))
    if chain in ("bytes", "big", "crc32c"):
        assert [one.to_bytes() for one in encoded[:2]] == [one.to_bytes() for one in expected]
    for writer, reader in ((encoded[:2], zarrs_own), (expected, ours)):
        decoded = list(asyncio.run(reader.decode([*((one, spec) for one in writer), (None, spec)])))
        assert decoded[2] is None
        for buffer, value in zip(decoded[:2], values, strict=True):
            np.testing.assert_array_equal(buffer.as_numpy_array(), value)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_pipeline_iterates_over_its_codecs(chain: str) -> None:
    spec = spec_of((4, 6), "int32")
    ours, zarrs_own = zarrs_and_zarr(CHAINS[chain], spec, evolved=True)
    assert list(ours) == list(zarrs_own)
    assert list(zarrs_and_zarr(CHAINS[chain], spec, evolved=False)[0]) == CHAINS[chain]


@pytest.mark.parametrize("chain", CHAINS)
def test_partial_support_is_what_zarrs_own_reports(chain: str) -> None:
    ours, zarrs_own = zarrs_and_zarr(CHAINS[chain], spec_of((4, 6), "int32"), evolved=True)
    assert ours.supports_partial_decode == zarrs_own.supports_partial_decode
    assert ours.supports_partial_encode == zarrs_own.supports_partial_encode


@pytest.mark.parametrize("chain", ["bytes", "crc32c", "transpose", "zstd", "sharding"])
def test_encoded_sizes_are_zarrs_own_or_refused_alike(chain: str) -> None:
    codecs = CHAINS[chain] if chain != "transpose" else CHAINS[chain][:2]
    spec = spec_of((4, 6), "int32")
    ours, zarrs_own = zarrs_and_zarr(codecs, spec, evolved=True)
    try:
        expected: int | type[Exception] = zarrs_own.compute_encoded_size(96, spec)
    except Exception as error:
        with pytest.raises(type(error)):
            ours.compute_encoded_size(96, spec)
    else:
        assert ours.compute_encoded_size(96, spec) == expected


def test_the_codecs_of_an_array_validate_as_zarrs_own_do(store: Store) -> None:
    array = zarr.create_array(store, shape=(8, 8), chunks=(4, 4), dtype="int32")
    metadata = array.metadata
    arguments = {"dtype": metadata.data_type, "chunk_grid": metadata.chunk_grid}
    array._async_array.codec_pipeline.validate(shape=(8, 8), **arguments)
    bad = get_pipeline_class().from_codecs([TransposeCodec(order=(0, 2, 1)), BytesCodec()])
    with pytest.raises(ValueError, match="order"):
        bad.validate(shape=(8, 8), **arguments)


def test_a_chain_without_exactly_one_array_to_bytes_codec_is_refused() -> None:
    found = get_pipeline_class()
    with pytest.raises(ValueError, match="Required ArrayBytesCodec"):
        found.from_codecs([Crc32cCodec()])
    with pytest.raises(ValueError, match="More than one|Only one"):
        found.from_codecs([BytesCodec(), BytesCodec()])
    with pytest.raises(TypeError):
        found.from_codecs([Crc32cCodec(), BytesCodec()])
