"""Shards: index and subchunks both ways with zarr, codecs inside and around, nesting, partial writes.

Every form of selection on shards is in test_indexing.py; resizing is in test_writes.py.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.codecs import (
    BloscCodec,
    BytesCodec,
    Crc32cCodec,
    GzipCodec,
    ShardingCodec,
    TransposeCodec,
    ZstdCodec,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from zarr.abc.store import Store

    ChunksIn = Callable[[Store], dict[str, bytes]]
    Oracle = Callable[[], Any]

pytestmark = pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
ZARR = Version(zarr.__version__)
SHAPE, SHARD, SUBCHUNK = (13, 10, 7), (6, 8, 4), (3, 2, 2)
# "byte_range is not supported within shards": zarr's own pipeline cannot read a part of a nested shard.
NESTED_SHARDS_READABLE = Version("3.1.6") <= ZARR
# NotImplementedError: zarr's own pipeline cannot encode a whole shard with a missing subchunk.
SHARDS_WITHIN_CODECS = Version("3.1.6") <= ZARR
MISSING = 2**64 - 1


def values_of(dtype: str = "int32") -> npt.NDArray[Any]:
    return (np.arange(910) // 2 + 1).astype(dtype).reshape(SHAPE)


def shards(*codecs: Any, **options: Any) -> ShardingCodec:
    return ShardingCodec(chunk_shape=SUBCHUNK, codecs=codecs or [BytesCodec()], **options)


def create(store: Store, serializer: Any, **options: Any) -> zarr.Array:
    options = {"chunks": SHARD, "dtype": "int32", "compressors": None} | options
    return zarr.create_array(store, shape=SHAPE, serializer=serializer, **options)


SHARDINGS: dict[str, dict[str, Any]] = {
    "raw": {"serializer": shards()},
    "big_endian": {"serializer": shards(BytesCodec(endian="big"))},
    "index_at_start": {"serializer": shards(index_location="start")},
    "index_at_start_zstd": {
        "serializer": shards(BytesCodec(), ZstdCodec(), index_location="start")
    },
    "index_without_checksum": {"serializer": shards(index_codecs=[BytesCodec()])},
    "index_big_endian": {
        "serializer": shards(index_codecs=[BytesCodec(endian="big"), Crc32cCodec()])
    },
    "index_two_checksums": {
        "serializer": shards(index_codecs=[BytesCodec(), Crc32cCodec(), Crc32cCodec()])
    },
    "index_transposed": {
        "serializer": shards(
            index_codecs=[TransposeCodec(order=(3, 0, 2, 1)), BytesCodec(), Crc32cCodec()]
        )
    },
    "zstd": {"serializer": shards(BytesCodec(), ZstdCodec(checksum=True))},
    "gzip": {"serializer": shards(BytesCodec(), GzipCodec())},
    "blosc": {"serializer": shards(BytesCodec(), BloscCodec(typesize=4, shuffle="shuffle"))},
    "crc32c_inside": {"serializer": shards(BytesCodec(), Crc32cCodec())},
    "transpose_inside": {"serializer": shards(TransposeCodec(order=(2, 0, 1)), BytesCodec())},
    "transpose_inside_zstd": {
        "serializer": shards(TransposeCodec(order=(1, 2, 0)), BytesCodec(), ZstdCodec())
    },
    "transpose_outside": {
        "serializer": ShardingCodec(chunk_shape=(2, 2, 4)),
        "filters": [TransposeCodec(order=(2, 0, 1))],
    },
    "transpose_both": {
        "serializer": ShardingCodec(
            chunk_shape=(2, 2, 4), codecs=[TransposeCodec(order=(0, 2, 1)), BytesCodec()]
        ),
        "filters": [TransposeCodec(order=(2, 0, 1))],
    },
    "gzip_outside": {"serializer": shards(), "compressors": [GzipCodec()]},
    "crc32c_outside": {"serializer": shards(), "compressors": [Crc32cCodec()]},
    "zstd_inside_crc32c_outside": {
        "serializer": shards(BytesCodec(), ZstdCodec()),
        "compressors": [Crc32cCodec()],
    },
    "nested": {
        "serializer": ShardingCodec(
            chunk_shape=(3, 4, 4), codecs=[ShardingCodec(chunk_shape=(3, 2, 1))]
        )
    },
    "nested_zstd_start": {
        "serializer": ShardingCodec(
            chunk_shape=(6, 4, 4),
            codecs=[
                ShardingCodec(
                    chunk_shape=(2, 4, 2),
                    codecs=[BytesCodec(), ZstdCodec()],
                    index_location="start",
                )
            ],
            index_location="start",
        )
    },
    "nested_around": {
        "serializer": ShardingCodec(
            chunk_shape=(3, 4, 4),
            codecs=[
                TransposeCodec(order=(2, 1, 0)),
                ShardingCodec(chunk_shape=(2, 2, 3)),
                Crc32cCodec(),
            ],
        )
    },
}
COMPRESSED = ("zstd", "gzip", "blosc")
PARTS: list[Any] = [
    ...,
    (slice(1, 12), slice(3, 9), slice(0, 7, 3)),
    (5, slice(None), 6),
    (12, 9, 6),
    (slice(6, 12), slice(0, 8), slice(0, 4)),
    (slice(0, 13, 6), 7),
]


@pytest.fixture(params=SHARDINGS)
def sharding(request: pytest.FixtureRequest) -> str:
    if "nested" in request.param and not NESTED_SHARDS_READABLE:
        pytest.skip("this zarr's own pipeline cannot read nested shards")
    if SHARDINGS[request.param].keys() != {"serializer"} and not SHARDS_WITHIN_CODECS:
        pytest.skip("this zarr's own pipeline cannot write shards with codecs around them")
    return str(request.param)


def deterministic(sharding: str) -> bool:
    return not any(name in sharding for name in COMPRESSED)


def test_arrays_written_by_zarr_are_read(store: Store, oracle: Oracle, sharding: str) -> None:
    values = values_of()
    with oracle():
        create(store, **SHARDINGS[sharding])[...] = values
    array = zarr.open_array(store, mode="r")
    for part in PARTS:
        np.testing.assert_array_equal(array[part], values[part])
    rows, columns = [12, 0, 5, 0], [9, 1, 1, 4]
    np.testing.assert_array_equal(array.oindex[rows, columns], values[rows][:, columns])
    np.testing.assert_array_equal(array.oindex[rows, 3], values[rows, 3])
    np.testing.assert_array_equal(
        array.vindex[rows, columns, [0, 6, 2, 2]], values[rows, columns, [0, 6, 2, 2]]
    )
    mask = values % 11 == 0
    np.testing.assert_array_equal(array.vindex[mask], values[mask])


def test_written_arrays_are_read_by_zarr(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, sharding: str
) -> None:
    def write(array: zarr.Array) -> None:
        array[...] = values_of()
        array[PARTS[1]] = -values_of()[PARTS[1]]
        array[5] = 7
        array[0:6, 0:8, 0:4] = 0
        array[2, 3, 1] = 8

    ours, theirs = make_store(), make_store()
    with oracle():
        write(create(theirs, **SHARDINGS[sharding]))
        expected = zarr.open_array(theirs, mode="r")[...]
    write(create(ours, **SHARDINGS[sharding]))
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(ours, mode="r")[...], expected)
    if deterministic(sharding):
        assert chunks_in(ours) == chunks_in(theirs)
    assert chunks_in(ours).keys() == chunks_in(theirs).keys()


def test_partial_writes_to_arrays_written_by_zarr(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, sharding: str
) -> None:
    store, values = make_store(), values_of()
    with oracle():
        create(store, **SHARDINGS[sharding])[...] = values
    array = zarr.open_array(store, mode="r+")
    for step, part in enumerate(PARTS[1:]):
        array[part] = values[part] = values[part] + 100 * step
        with oracle():
            np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], values)
    array.vindex[[0, 12], [9, 0], [6, 6]] = values[[0, 12], [9, 0], [6, 6]] = [-1, -2]
    array.oindex[[11, 0], :, [6, 1]] = -3
    values[np.ix_([11, 0], range(10), [6, 1])] = -3
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], values)


def index_of(shard: bytes, count: int) -> list[tuple[int, int]]:
    """(offset, length) per subchunk in C order, from an index at the end with a checksum."""
    numbers = struct.unpack(f"<{2 * count}Q", shard[-16 * count - 4 : -4])
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_write_to_one_subchunk_keeps_its_neighbours(store: Store, chunks_in: ChunksIn) -> None:
    array = zarr.create_array(
        store, shape=(8, 8), chunks=(2, 2), shards=(8, 8), dtype="int32", compressors=ZstdCodec()
    )
    values = np.random.default_rng(0).integers(0, 100, (8, 8), "int32")
    array[...] = values

    def subchunks() -> list[bytes]:
        shard = chunks_in(store)["c/0/0"]
        return [shard[start : start + length] for start, length in index_of(shard, 16)]

    before = subchunks()
    array[2, 3] = -1
    values[2, 3] = -1
    after = subchunks()
    assert [number for number in range(16) if before[number] != after[number]] == [5]
    np.testing.assert_array_equal(array[...], values)


def test_empty_subchunks_are_not_stored(store: Store, chunks_in: ChunksIn) -> None:
    array = zarr.create_array(
        store, shape=(8, 8), chunks=(4, 4), shards=(8, 8), dtype="uint8", compressors=None
    )
    array[0, 0] = 1
    array[7, 7] = 1
    stored = index_of(chunks_in(store)["c/0/0"], 4)
    assert stored == [(0, 16), (MISSING, MISSING), (MISSING, MISSING), (16, 16)]
    array[0, 0] = 0
    assert [length for _, length in index_of(chunks_in(store)["c/0/0"], 4)][:3] == [MISSING] * 3
    array[7, 7] = 0
    assert chunks_in(store) == {}


def test_write_empty_chunks_stores_every_subchunk_that_was_written(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn
) -> None:
    def write() -> dict[str, bytes]:
        store = make_store()
        array = create(store, shards(), config={"write_empty_chunks": True})
        array[0:4, 0:3] = 0
        array[12] = 0
        return chunks_in(store)

    stored = write()
    with oracle():
        assert write() == stored


def test_a_missing_shard_reads_as_fill_value_whole_and_in_part(store: Store) -> None:
    array = create(store, shards(), fill_value=-4)
    array[12, 9, 6] = 1
    assert (array[0:6] == -4).all()
    assert array[12, 9, 6] == 1
    assert array[12, 9, 5] == -4
    assert (array.vindex[[0, 12], [0, 9], [0, 6]] == [-4, 1]).all()


WRITE_ORDERS = ["morton", "lexicographic", "colexicographic", "unordered"]


@pytest.mark.skipif(
    not hasattr(shards(), "subchunk_write_order"), reason="subchunk_write_order came with zarr 3.3"
)
@pytest.mark.parametrize("order", WRITE_ORDERS)
@pytest.mark.parametrize("shape", [(6, 8, 4), (12, 2, 8)], ids=str)
def test_subchunks_are_stored_in_the_order_that_zarr_stores_them(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    order: Any,
    shape: tuple[int, ...],
) -> None:
    def write() -> tuple[dict[str, bytes], Any]:
        store = make_store()
        array = create(store, shards(subchunk_write_order=order), chunks=shape)
        array[...] = values_of()
        array[1:9, 3, 2:5] = 0
        array[2:4, 0:6] = 5
        return chunks_in(store), array[...]

    stored, values = write()
    with oracle():
        expected, expected_values = write()
    np.testing.assert_array_equal(values, expected_values)
    if order == "unordered":
        assert {key: len(value) for key, value in stored.items()} == {
            key: len(value) for key, value in expected.items()
        }
    else:
        assert stored == expected


@pytest.mark.parametrize("subchunk", [(1, 1), (1, 8), (8, 1), (8, 8), (3, 8)], ids=str)
def test_morton_order_in_shards_whose_extents_are_no_power_of_two(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    subchunk: tuple[int, ...],
) -> None:
    values = np.arange(1, 385, dtype="int16").reshape(24, 16)

    def write() -> dict[str, bytes]:
        store = make_store()
        array = zarr.create_array(
            store, shape=(24, 16), chunks=subchunk, shards=(24, 16), dtype="int16", compressors=None
        )
        array[...] = values
        np.testing.assert_array_equal(array[5:23, 3:9], values[5:23, 3:9])
        return chunks_in(store)

    stored = write()
    with oracle():
        assert write() == stored


@pytest.mark.parametrize("max_gap", [0, 1, 1 << 20])
@pytest.mark.parametrize("max_bytes", [1, 100, 16 << 20])
def test_merged_ranges_read_what_single_ranges_read(
    store: Store, oracle: Oracle, max_gap: int, max_bytes: int
) -> None:
    gap, most = "sharding_coalesce_max_gap_bytes", "sharding_coalesce_max_bytes"
    if zarr.config.get(f"array.{gap}", None) is None:
        pytest.skip("merging of ranges is configurable since zarr 3.3")
    values = values_of()
    with oracle():
        create(store, shards(BytesCodec(), ZstdCodec()))[...] = values
    array = zarr.open_array(store, mode="r", config={gap: max_gap, most: max_bytes})
    for part in PARTS:
        np.testing.assert_array_equal(array[part], values[part])
    np.testing.assert_array_equal(array.oindex[[12, 0, 4]], values[[12, 0, 4]])


def test_a_shard_of_a_thousand_subchunks(store: Store, oracle: Oracle) -> None:
    values = np.random.default_rng(0).integers(0, 50, (64, 128), "uint16")
    array = zarr.create_array(
        store, shape=(64, 128), chunks=(2, 4), shards=(64, 128), dtype="uint16"
    )
    array[...] = values
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(0, 64, 300), rng.integers(0, 128, 300)
    np.testing.assert_array_equal(array.vindex[rows, columns], values[rows, columns])
    np.testing.assert_array_equal(array.oindex[rows], values[rows])
    np.testing.assert_array_equal(array[::7, ::5], values[::7, ::5])
    array[3:60:2, 1:120] = values[3:60:2, 1:120] = 9
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], values)


TINY = ShardingCodec(chunk_shape=(1,), codecs=[BytesCodec(), GzipCodec()])


@pytest.mark.skipif(not SHARDS_WITHIN_CODECS, reason="zarr's own pipeline encodes no such shard")
@pytest.mark.parametrize(
    "serializer",
    [TINY, ShardingCodec(chunk_shape=(100,), codecs=[TINY])],
    ids=["shard", "nested"],
)
def test_subchunks_far_longer_than_their_elements_are_read_through_a_compressor(
    store: Store, oracle: Oracle, serializer: ShardingCodec
) -> None:
    """gzip encodes each element in twenty bytes."""
    values = np.random.default_rng(0).integers(1, 200, 10_000, "u1")
    options: dict[str, Any] = {"serializer": serializer, "compressors": ZstdCodec()}
    array = zarr.create_array(store, shape=10_000, chunks=10_000, dtype="u1", **options)
    array[:] = values
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], values)
    if serializer is TINY:
        with oracle():
            np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], values)
