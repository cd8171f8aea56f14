"""The requests that a store in Python receives: how many, for which bytes, in how many rounds, how many at once.

Values are compared in test_stores.py, failures are in test_faults.py.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, ShardingCodec

from support.recording import Recorder, Round

DATA = np.arange(1, 64 * 64 + 1, dtype="int32").reshape(64, 64)
# 16 subchunks of 8 × 8 × 4 = 256 bytes in a shard, in Morton order, then an index of 16 × 16 + 4 bytes.
SHARDED: dict[str, Any] = {"chunks": (8, 8), "shards": (32, 32), "compressors": None}
SETTINGS = pytest.mark.skipif(
    tuple(map(int, zarr.__version__.split(".")[:2])) < (3, 3), reason="settings of zarr 3.3"
)
WHOLE = (slice(None), slice(None))


def make(data: np.ndarray[Any, Any] = DATA, **layout: Any) -> tuple[Recorder, zarr.Array[Any]]:
    """A recorder that holds `data`, with an empty record."""
    store = Recorder()
    array = zarr.create_array(store, shape=data.shape, dtype=data.dtype, **layout)
    array[...] = data
    store.forget()
    return store, array


def rounds_of(store: Recorder, seconds: float = 0.05) -> Round:
    """Makes requests wait for each other from here on."""
    together = Round(seconds)

    async def wait(*_: Any) -> None:
        await together.wait()

    store.before = wait
    return together


def check(array: zarr.Array[Any], selection: Any, data: np.ndarray[Any, Any] = DATA) -> None:
    np.testing.assert_array_equal(array[selection], data[selection])


# -- reads ------------------------------------------------------------------------------------------


def test_plain_chunks_take_one_request_each() -> None:
    store, array = make(chunks=(16, 16))
    check(array, WHOLE)
    assert sorted(store.gets) == sorted((f"c/{i}/{j}", None) for i in range(4) for j in range(4))
    store.forget()
    check(array, (slice(10, 20), slice(3, 5)))
    assert sorted(store.gets) == [("c/0/0", None), ("c/1/0", None)]


def test_repeated_rows_of_a_chunk_take_one_request() -> None:
    store, array = make(chunks=(16, 16))
    rows = [40, 3, 3, 41, 0, 40]
    np.testing.assert_array_equal(array.oindex[rows], DATA[rows])
    assert len(store.gets) == 8


@pytest.mark.parametrize("shards", [1, 4])
def test_a_whole_shard_takes_one_request(shards) -> None:
    store, array = make(**SHARDED)
    check(array, (slice(0, 32 * min(shards, 2)), slice(0, 32 * max(shards // 2, 1))))
    assert store.ranges == [None] * shards


def test_a_shard_beyond_the_edge_of_the_array_takes_one_request() -> None:
    store, array = make(DATA[:40, :40], **SHARDED)
    check(array, WHOLE, DATA[:40, :40])
    assert store.ranges == [None] * 4


@pytest.mark.parametrize(
    "selection",
    [(slice(0, 8), slice(0, 8)), (slice(4, 20), slice(9, 31)), (3, 5), (slice(0, 32), slice(24))],
    ids=str,
)
def test_a_part_of_a_shard_takes_its_index_and_one_merged_range(selection) -> None:
    store, array = make(**SHARDED)
    together = rounds_of(store)
    check(array, selection)
    assert len(store.gets) == 2
    assert store.ranges[0] == "suffix"
    assert together.sizes == [1, 1]


def test_parts_of_many_shards_take_two_rounds() -> None:
    store, array = make(**SHARDED)
    together = rounds_of(store)
    check(array, (slice(20, 50), slice(20, 50)))
    assert together.sizes == [4, 4]


def test_an_index_at_the_start_is_requested_by_its_range() -> None:
    serializer = ShardingCodec(
        chunk_shape=(8, 8),
        codecs=[BytesCodec()],
        index_location="start",
        index_codecs=[BytesCodec()],
    )
    store, array = make(chunks=(32, 32), serializer=serializer, compressors=None)
    check(array, (3, 5))
    assert store.ranges[0] == (0, 16 * 16)
    assert len(store.gets) == 2


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_each_level_of_nesting_adds_a_round(levels) -> None:
    codec: Any = BytesCodec()
    for size in (4, 8, 16)[3 - levels :]:
        codec = ShardingCodec(chunk_shape=(size, size), codecs=[codec])
    store, array = make(chunks=(64, 64), serializer=codec, compressors=None)
    together = rounds_of(store)
    check(array, (slice(1, 3), slice(1, 3)))
    assert together.sizes == [1] * (levels + 1)
    check(array, (slice(3, 30), slice(20, 63)))


@SETTINGS
@pytest.mark.parametrize(("gap", "requests"), [(0, 4), (31, 4), (32, 1), (1 << 20, 1)])
def test_no_gap_above_the_maximum_is_bridged(gap, requests) -> None:
    store, array = make(DATA[:1], chunks=(1, 8), shards=(1, 64), compressors=None)
    # Subchunks of 32 bytes; every other one is 32 bytes from the next.
    array = array.with_config({"sharding_coalesce_max_gap_bytes": gap})
    columns = [0, 16, 32, 48]
    np.testing.assert_array_equal(array.oindex[:, columns], DATA[:1, columns])
    assert len(store.gets) == 1 + requests
    assert all(end - start <= 7 * 32 for start, end in store.ranges[1:])


@SETTINGS
@pytest.mark.parametrize(
    ("most", "requests"), [(1, 8), (32, 8), (64, 4), (95, 4), (96, 3), (256, 1)]
)
def test_no_request_exceeds_the_maximum_unless_one_subchunk_does(most, requests) -> None:
    data = np.arange(128, dtype="int32")
    store, array = make(data, chunks=(8,), shards=(128,), compressors=None)
    with zarr.config.set({"array.sharding_coalesce_max_bytes": most}):
        array = zarr.open_array(store)
    np.testing.assert_array_equal(array[:64], data[:64])
    spans = [end - start for start, end in store.ranges[1:]]
    assert len(spans) == requests
    assert max(spans) <= max(most, 32)


def test_missing_chunks_take_one_request_each_and_read_as_fill_value() -> None:
    store, array = make(np.zeros((64, 64), "int32"), chunks=(16, 16), fill_value=0)
    assert not store._store_dict.keys() - {"zarr.json"}
    check(array, WHOLE, np.zeros((64, 64)))
    assert len(store.gets) == 16


def test_a_missing_shard_takes_one_request_and_missing_subchunks_take_none() -> None:
    data = DATA.copy()
    data[:32, :32] = 0
    data[32:40, 32:40] = 0
    store, array = make(data, fill_value=0, **SHARDED)
    check(array, (slice(0, 9), slice(0, 9)), data)
    assert store.ranges == ["suffix"]
    store.forget()
    check(array, (slice(32, 40), slice(32, 40)), data)
    assert store.ranges == ["suffix"]
    store.forget()
    check(array, (slice(32, 48), slice(32, 40)), data)
    assert len(store.gets) == 2


# -- writes -----------------------------------------------------------------------------------------

LAYOUTS: list[dict[str, Any]] = [{"chunks": (32, 32)}, SHARDED]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["plain", "sharded"])
def test_a_fully_covered_chunk_is_not_read_and_is_set_once(layout) -> None:
    store, array = make(**layout)
    array[:] = -DATA
    assert store.gets == []
    assert sorted(store.sets) == ["c/0/0", "c/0/1", "c/1/0", "c/1/1"]
    check(array, WHOLE, -DATA)


@pytest.mark.parametrize("layout", LAYOUTS, ids=["plain", "sharded"])
def test_a_partly_covered_chunk_is_read_once_and_set_once(layout) -> None:
    store, array = make(**layout)
    expected = DATA.copy()
    for selection in [(slice(3, 9), slice(1, 30)), (5, 5), (slice(0, 32), slice(0, 31))]:
        store.forget()
        array[selection] = expected[selection] = -7
        assert (store.gets, store.sets) == ([("c/0/0", None)], ["c/0/0"])
    store.forget()
    array[20:40, :] = expected[20:40] = 3
    assert len(store.gets) == len(store.sets) == 4
    store.forget()
    array[0:64, 0:40] = expected[0:64, 0:40] = 4
    assert sorted(key for key, _ in store.gets) == ["c/0/1", "c/1/1"]
    assert len(store.sets) == 4
    check(array, WHOLE, expected)


def test_a_fully_covered_edge_chunk_is_not_read() -> None:
    store, array = make(DATA[:40, :40], chunks=(32, 32))
    array[32:, 32:] = 5
    assert (store.gets, store.sets) == ([], ["c/1/1"])


def test_empty_chunks_are_deleted_and_not_set() -> None:
    store, array = make(chunks=(32, 32), fill_value=0)
    array[:32] = 0
    assert (store.gets, store.sets) == ([], [])
    assert sorted(store.deletes) == ["c/0/0", "c/0/1"]


def test_an_empty_selection_makes_no_request() -> None:
    store, array = make(chunks=(32, 32))
    array[0:0] = 1
    assert array[0:0].shape == (0, 64)
    assert not store.gets
    assert not store.sets


# -- concurrent requests ----------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 5, 16, 100])
def test_64_chunks_take_as_many_rounds_as_the_concurrency_allows(concurrency) -> None:
    store, array = make(chunks=(8, 8))
    together = rounds_of(store, 0.05 if concurrency > 1 else 0.002)
    with zarr.config.set({"async.concurrency": concurrency}):
        check(array, WHOLE)
        assert store.max_in_flight == min(concurrency, 64)
        assert len(together.sizes) == -(-64 // min(concurrency, 64))


@pytest.mark.parametrize("concurrency", [1, 16, None])
def test_writes_of_64_chunks_never_exceed_the_concurrency(concurrency) -> None:
    store, array = make(chunks=(8, 8))
    # Long enough for a busy machine to start every write that may be in flight.
    rounds_of(store, {1: 0.002, 16: 0.02, None: 0.3}[concurrency])
    with zarr.config.set({"async.concurrency": concurrency}):
        array[:] = -DATA
        assert store.max_in_flight == (concurrency or 64)
        store.forget()
        array[1:63, 1:63] = 3
        assert store.max_in_flight <= (concurrency or 64)
    assert len(store.gets) == 64 - 36


def test_a_call_on_shards_never_exceeds_its_concurrency() -> None:
    store, array = make(chunks=(4, 4), shards=(16, 16))
    rounds_of(store, 0.01)
    with zarr.config.set({"async.concurrency": 3}):
        check(array, (slice(1, 63), slice(1, 63)))
    assert store.max_in_flight == 3


@pytest.mark.parametrize("maximum", [1, 7, 30])
def test_all_calls_together_never_exceed_the_maximum(maximum) -> None:
    store, array = make(chunks=(8, 8))
    rounds_of(store, 0.0005)

    async def reads() -> list[Any]:
        return await asyncio.gather(*(array._async_array.getitem(WHOLE) for _ in range(20)))

    with zarr.config.set({"codec_pipeline.requests_maximum": maximum, "async.concurrency": 10}):
        found = asyncio.run(reads())
    assert all((part == DATA).all() for part in found)
    assert store.max_in_flight == maximum
    assert len(store.gets) == 20 * 64


def test_calls_from_many_threads_and_loops_never_exceed_the_maximum() -> None:
    store, array = make(chunks=(8, 8))

    async def wait(*_: Any) -> None:
        await asyncio.sleep(0.002)

    store.before = wait
    found = []

    async def both() -> None:
        parts = (array._async_array.getitem(WHOLE), array._async_array.setitem(WHOLE, DATA))
        found.append((await asyncio.gather(*parts))[0])

    with zarr.config.set({"codec_pipeline.requests_maximum": 6}):
        threads = [threading.Thread(target=asyncio.run, args=(both(),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(found) == 6
    assert all((part == DATA).all() for part in found)
    assert store.max_in_flight == 6
