"""The codecs of Zarr 3 outside shards: zarr writes and zarrs reads, zarrs writes and zarr reads.

Stored keys are always equal, stored bytes wherever the encoding is fully determined.
Shards are in test_sharding.py, the compressors of format 2 in test_v2.py.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    TransposeCodec,
    ZstdCodec,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from zarr.abc.store import Store

    ChunksIn = Callable[[Store], dict[str, bytes]]
    Oracle = Callable[[], Any]

SHAPE, CHUNKS = (5, 7, 6), (2, 3, 4)
PARTS: list[Any] = [
    ...,
    (slice(1, 4), slice(2, 6), slice(0, 6, 2)),
    (3, slice(None), -1),
    (4, 6, 5),
]


def values_of(dtype: str = "int32") -> npt.NDArray[Any]:
    """Values that compress moderately."""
    return (np.arange(210) // 3 * 7).astype(dtype).reshape(SHAPE)


def both_ways(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    values: npt.NDArray[Any],
    *,
    equal_bytes: bool = False,
    **options: Any,
) -> None:
    options = {"shape": values.shape, "chunks": CHUNKS, "dtype": values.dtype} | options
    ours, theirs = make_store(), make_store()
    with oracle():
        zarr.create_array(theirs, **options)[...] = values
    zarr.create_array(ours, **options)[...] = values
    if equal_bytes:
        assert chunks_in(ours) == chunks_in(theirs)
    assert chunks_in(ours).keys() == chunks_in(theirs).keys()
    read = zarr.open_array(theirs, mode="r+")
    for part in PARTS:
        np.testing.assert_array_equal(read[part], values[part])
    rows, columns = [4, 0, 2, 4], [6, 1, 1, 0]
    np.testing.assert_array_equal(read.oindex[rows, columns], values[rows][:, columns])
    np.testing.assert_array_equal(read.vindex[rows, columns, rows], values[rows, columns, rows])
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(ours, mode="r")[...], values)
    # A partial write merges into chunks that zarr wrote.
    changed = values.copy()
    read[PARTS[1]] = changed[PARTS[1]] = values[PARTS[1]] + values.dtype.type(1)
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(theirs, mode="r")[...], changed)


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "complex128"])
def test_bytes(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, dtype: str, endian: Any
) -> None:
    both_ways(
        make_store,
        oracle,
        chunks_in,
        values_of(dtype),
        equal_bytes=True,
        serializer=BytesCodec(endian=endian),
        compressors=None,
    )


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_every_transposition(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    order: tuple[int, ...],
    compressed: bool,
) -> None:
    both_ways(
        make_store,
        oracle,
        chunks_in,
        values_of(),
        equal_bytes=not compressed,
        filters=[TransposeCodec(order=order)],
        compressors=ZstdCodec() if compressed else None,
    )


def test_two_transpositions_apply_in_order(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn
) -> None:
    both_ways(
        make_store,
        oracle,
        chunks_in,
        values_of(),
        equal_bytes=True,
        filters=[TransposeCodec(order=(1, 2, 0)), TransposeCodec(order=(0, 2, 1))],
        serializer=BytesCodec(endian="big"),
        compressors=None,
    )


@pytest.mark.parametrize("level", [-5, 0, 1, 3, 19])
@pytest.mark.parametrize("checksum", [False, True])
def test_zstd(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    level: int,
    checksum: bool,
) -> None:
    compressor = ZstdCodec(level=level, checksum=checksum)
    both_ways(make_store, oracle, chunks_in, values_of(), compressors=compressor)


@pytest.mark.parametrize("level", [0, 1, 5, 9])
def test_gzip(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, level: int
) -> None:
    both_ways(make_store, oracle, chunks_in, values_of(), compressors=GzipCodec(level=level))


@pytest.mark.parametrize("shuffle", ["noshuffle", "shuffle", "bitshuffle"])
@pytest.mark.parametrize("cname", ["blosclz", "lz4", "lz4hc", "zlib", "zstd"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float64", "complex128"])
def test_blosc(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    dtype: str,
    cname: Any,
    shuffle: Any,
) -> None:
    values = values_of(dtype)
    compressor = BloscCodec(cname=cname, clevel=5, shuffle=shuffle, typesize=values.itemsize)
    both_ways(make_store, oracle, chunks_in, values, compressors=compressor)


@pytest.mark.parametrize("typesize", [1, 2, 4, 7, 255])
def test_blosc_with_an_explicit_type_size(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, typesize: int
) -> None:
    compressor = BloscCodec(cname="lz4", shuffle="shuffle", typesize=typesize)
    both_ways(make_store, oracle, chunks_in, values_of(), compressors=compressor)


def test_blosc_evolves_its_type_size_and_shuffle_from_the_data_type(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn
) -> None:
    for dtype in ("uint8", "int32"):
        both_ways(make_store, oracle, chunks_in, values_of(dtype), compressors=BloscCodec())


@pytest.mark.parametrize("clevel", [0, 1, 9])
@pytest.mark.parametrize("blocksize", [0, 64, 512])
def test_blosc_levels_and_block_sizes(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    clevel: int,
    blocksize: int,
) -> None:
    values = (np.arange(40_000) // 5).astype("int32").reshape(40, 50, 20)
    compressor = BloscCodec(
        cname="zstd", clevel=clevel, shuffle="shuffle", typesize=4, blocksize=blocksize
    )
    options = {"chunks": (30, 30, 20), "compressors": compressor}
    both_ways(make_store, oracle, chunks_in, values, **options)


CHAINS: dict[str, list[Any]] = {
    "crc32c": [Crc32cCodec()],
    "zstd_crc32c": [ZstdCodec(), Crc32cCodec()],
    "crc32c_zstd": [Crc32cCodec(), ZstdCodec()],
    "gzip_zstd": [GzipCodec(), ZstdCodec()],
    "blosc_gzip_crc32c": [BloscCodec(typesize=4, shuffle="shuffle"), GzipCodec(), Crc32cCodec()],
    "crc32c_twice": [Crc32cCodec(), Crc32cCodec()],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_chains_of_compressors_and_checksums(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, chain: str
) -> None:
    both_ways(
        make_store,
        oracle,
        chunks_in,
        values_of(),
        equal_bytes=chain in ("crc32c", "crc32c_twice"),
        filters=[TransposeCodec(order=(2, 0, 1))],
        serializer=BytesCodec(endian="big"),
        compressors=CHAINS[chain],
    )


@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("name", ["default", "v2"])
def test_every_chunk_key_encoding(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    name: Any,
    separator: Any,
) -> None:
    both_ways(
        make_store,
        oracle,
        chunks_in,
        values_of(),
        equal_bytes=True,
        compressors=None,
        chunk_key_encoding={"name": name, "separator": separator},
    )


@pytest.mark.parametrize("chunks", [(5, 7, 6), (10, 10, 10), (1, 1, 1), (5, 1, 6)], ids=str)
@pytest.mark.parametrize("compressor", [None, ZstdCodec(), BloscCodec(typesize=4)])
def test_every_shape_of_chunk(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    chunks: tuple[int, ...],
    compressor: Any,
) -> None:
    options = {"chunks": chunks, "compressors": compressor}
    both_ways(make_store, oracle, chunks_in, values_of(), **options)


def test_chunks_of_a_mebibyte_are_correct_on_every_path(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn
) -> None:
    values = np.random.default_rng(0).integers(0, 1000, (3, 512, 400), "int32")
    for compressor in (None, ZstdCodec(), BloscCodec(typesize=4, shuffle="shuffle")):
        ours = make_store()
        options: dict[str, Any] = {"chunks": (1, 512, 300), "compressors": compressor}
        with oracle():
            array = zarr.create_array(ours, shape=values.shape, dtype="int32", **options)
            array[...] = values
        read = zarr.open_array(ours, mode="r+")
        np.testing.assert_array_equal(read[...], values)
        np.testing.assert_array_equal(read[1, 100:101], values[1, 100:101])
        np.testing.assert_array_equal(read[:, 300:, 299:302], values[:, 300:, 299:302])
        read[:, 5:500:3, ::7] = -1
        values[:, 5:500:3, ::7] = -1
        with oracle():
            np.testing.assert_array_equal(zarr.open_array(ours, mode="r")[...], values)
