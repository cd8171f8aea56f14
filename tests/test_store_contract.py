"""The same claims on every kind of store in Python: reads, writes, shards, damage, vanished chunks, refusals, threads.

The kinds are in support/stores.py. The oracle is NumPy, or zarr's own pipeline on a copy of the same store.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec
from zarr.storage import MemoryStore

import zarrs
from support.agreement import DATA, SELECTIONS, SHAPE, check_reads, read, selected, write
from support.stores import KINDS, Kind, Stores, chunks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Oracle = Callable[[], AbstractContextManager[None]]

ZARR = Version(zarr.__version__)
CHUNK, SUBCHUNK = (16, 10), (4, 5)
RAW: dict[str, Any] = {"chunks": CHUNK, "compressors": None}
INDEX_AT_START: dict[str, Any] = {
    **RAW,
    "serializer": ShardingCodec(
        chunk_shape=SUBCHUNK, codecs=[BytesCodec()], index_location="start"
    ),
}
NESTED: dict[str, Any] = {
    **RAW,
    "serializer": ShardingCodec(
        chunk_shape=(8, 10), codecs=[ShardingCodec(chunk_shape=SUBCHUNK, codecs=[BytesCodec()])]
    ),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": RAW,
    "crc32c": {"chunks": CHUNK, "compressors": Crc32cCodec()},
    "zstd": {"chunks": CHUNK},
    "v2": {"chunks": CHUNK, "zarr_format": 2},
    "v2 raw": {**RAW, "zarr_format": 2},
    "shards": {"chunks": SUBCHUNK, "shards": CHUNK},
    "raw shards": {"chunks": SUBCHUNK, "shards": CHUNK, "compressors": None},
    "index at the start": INDEX_AT_START,
    "nested shards": NESTED,
}
# Their bytes are fully determined; an encoder of another release may compress differently.
DETERMINED = ["raw", "crc32c", "v2 raw", "raw shards", "index at the start"]
SHARDS = ["shards", "raw shards", "index at the start", "nested shards"]
FILL = -3

# The layouts for kinds of stores that need few.
FEW = ("raw", "raw shards")


def cases(*layouts: str, where: Callable[[Kind], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Every kind of store for which `where` holds, with each of `layouts` that it can hold."""
    return pytest.mark.parametrize(
        ("kind", "layout"),
        [
            pytest.param(name, layout, id=f"{name}-{layout}")
            for name, kind in KINDS.items()
            for layout in layouts
            if where(kind)
            and LAYOUTS[layout].get("zarr_format", 3) in kind.formats
            and (layout in FEW or not kind.few_layouts)
        ],
        indirect=True,
    )


def is_writable(kind: Kind) -> bool:
    return kind.is_writable


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Kind:
    kind = KINDS[request.param]
    if Version(".".join(map(str, kind.since))) > ZARR:
        pytest.skip("not in this release of zarr")
    return kind


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> str:
    if request.param == "nested shards" and Version("3.1.6") > ZARR:
        pytest.skip("this zarr's own pipeline cannot read a part of a nested shard")
    return str(request.param)


@pytest.fixture
def stores(request: pytest.FixtureRequest, kind: Kind, tmp_path: Path) -> Iterator[Stores]:
    server = request.getfixturevalue(kind.server) if kind.server else None
    made = Stores(kind, tmp_path, server)
    yield made
    made.close()


@pytest.fixture
def written(oracle: Oracle) -> Callable[..., dict[str, bytes]]:
    """A function: layout, values → all objects of an array that zarr's own pipeline wrote."""

    def objects(layout: str, values: Any = DATA, **more: Any) -> dict[str, bytes]:
        with oracle():
            store = MemoryStore()
            create(store, layout, values.shape, **more)[...] = values
        return {key: value.to_bytes() for key, value in store._store_dict.items()}

    return objects


def create(store: Any, layout: str, shape: tuple[int, ...] = SHAPE, **more: Any) -> zarr.Array[Any]:
    options = {"dtype": "int32", "fill_value": FILL, **LAYOUTS[layout], **more}
    return zarr.create_array(store, name="array", shape=shape, **options)


def opened(store: Any, **config: Any) -> zarr.Array[Any]:
    mode = "r" if store.read_only else "r+"
    return zarr.open_array(store, path="array", mode=mode, **({"config": config} if config else {}))


def key_of(layout: str, *chunk: int) -> str:
    """The key of a chunk, or of a shard."""
    if layout.startswith("v2"):
        return "array/" + ".".join(map(str, chunk))
    return "array/" + "/".join(map(str, ("c", *chunk)))


def block(*chunk: int) -> tuple[slice, ...]:
    """The elements of a chunk or shard."""
    return tuple(
        slice(size * number, size * (number + 1)) for size, number in zip(CHUNK, chunk, strict=True)
    )


def without(*chunk: int) -> Any:
    """DATA with the fill value in place of one chunk."""
    values = DATA.copy()
    values[block(*chunk)] = FILL
    return values


def outcome(array: zarr.Array[Any], selection: Any) -> Any:
    """The selected elements as a list, or the exception."""
    try:
        return np.asarray(array[selection]).tolist()
    except Exception as error:
        return error


# -- reads ------------------------------------------------------------------------------------------


@cases(*LAYOUTS)
def test_a_whole_read_returns_every_element(stores, layout, written) -> None:
    array = opened(stores.holding(written(layout)))
    assert zarrs.explain(array).store.startswith(stores.kind.access)
    np.testing.assert_array_equal(array[...], DATA)


@cases(*LAYOUTS)
def test_every_kind_of_selection_returns_what_numpy_returns(stores, layout, written) -> None:
    check_reads(opened(stores.holding(written(layout))))


@cases("raw", "v2 raw", "raw shards")
def test_rows_of_an_uncompressed_chunk_return_what_numpy_returns(stores, layout, written) -> None:
    array = opened(stores.holding(written(layout)))
    for rows in (slice(17, 18), slice(18, 29, 5), slice(0, 40, 16), 39):
        np.testing.assert_array_equal(array[rows], DATA[rows])
        np.testing.assert_array_equal(array[rows, 12:17], DATA[rows, 12:17])
    np.testing.assert_array_equal(array.oindex[[31, 16, 16, 20]], DATA[[31, 16, 16, 20]])


@cases(*LAYOUTS)
def test_a_missing_chunk_reads_as_fill_value(stores, layout, written) -> None:
    objects = written(layout)
    del objects[key_of(layout, 1, 1)]
    array = opened(stores.holding(objects))
    check_reads(array, without(1, 1))
    assert (array[block(1, 1)] == FILL).all()


@pytest.mark.skipif(Version("3.2") > ZARR, reason="read_missing_chunks came with zarr 3.2")
@cases("raw", "zstd", "v2", "raw shards")
def test_a_missing_chunk_is_reported_if_missing_chunks_are_not_read(
    stores, layout, written, oracle
) -> None:
    from zarr.errors import ChunkNotFoundError

    objects = written(layout)
    del objects[key_of(layout, 1, 1)]
    config = {"read_missing_chunks": False}
    store = stores.holding(objects)
    array = opened(store, **config)
    np.testing.assert_array_equal(array[:16], DATA[:16])
    with oracle():
        # On the same store, whose name is a part of the message.
        theirs = opened(store, **config)
    for selection in (..., (20, 13), (slice(14, 18), slice(9, 12))):
        with pytest.raises(ChunkNotFoundError) as ours:
            array[selection]
        with oracle(), pytest.raises(ChunkNotFoundError) as expected:
            theirs[selection]
        assert str(ours.value) == str(expected.value)
        assert key_of(layout, 1, 1).removeprefix("array/") in str(ours.value)


@cases("raw", "v2")
def test_an_array_without_dimensions_is_read(stores, layout, written) -> None:
    objects = written(layout, np.array(7, "int32"), chunks=())
    array = opened(stores.holding(objects))
    assert array[()] == 7
    assert array[...] == 7
    assert array[...].shape == ()
    del objects["array/0" if layout == "v2" else "array/c"]
    assert opened(stores.holding(objects))[()] == FILL


@cases("raw", "zstd", "raw shards")
def test_8_threads_read_concurrently(stores, layout, written) -> None:
    array = opened(stores.holding(written(layout)))
    barrier = threading.Barrier(8)
    names = list(SELECTIONS)

    def work(number: int) -> None:
        barrier.wait(30)
        for turn in range(3):
            name = names[(number + turn) % len(names)]
            np.testing.assert_array_equal(read(array, name), selected(DATA, name), err_msg=name)
            np.testing.assert_array_equal(array[...], DATA)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


# -- writes -----------------------------------------------------------------------------------------


@pytest.fixture
def both(stores: Stores, oracle: Oracle) -> Callable[..., tuple[dict[str, bytes], Any]]:
    """Acts on two copies of a store, through zarrs and through zarr's own pipeline: the results are equal.

    Returns the chunks that zarrs left, and those that zarr left.
    """

    def act_on_both(
        objects: dict[str, bytes], act: Callable[[zarr.Array[Any]], None]
    ) -> tuple[dict[str, bytes], dict[str, bytes]]:
        ours, theirs = stores.holding(objects), stores.holding(objects)
        array = opened(ours)
        act(array)
        with oracle():
            act(opened(theirs))
            expected = opened(theirs)[...]
            np.testing.assert_array_equal(opened(ours)[...], expected)
        np.testing.assert_array_equal(array[...], expected)
        return stores.chunks_in(ours), stores.chunks_in(theirs)

    return act_on_both


def empty(written: Callable[..., dict[str, bytes]], layout: str) -> dict[str, bytes]:
    """The objects of an array without chunks."""
    return written(layout, np.full(SHAPE, FILL, "int32"))


@cases(*DETERMINED, where=is_writable)
def test_stored_bytes_are_those_that_zarr_writes(both, layout, written) -> None:
    def whole(array: zarr.Array[Any]) -> None:
        array[...] = DATA

    ours, theirs = both(empty(written, layout), whole)
    assert ours == theirs
    assert len(ours) == 9

    def parts(array: zarr.Array[Any]) -> None:
        data = DATA.copy()
        for number, name in enumerate(("part", "steps", "element", "orthogonal", "mask"), 1):
            write(array, data, name, -10 * number)

    for objects in (empty(written, layout), written(layout)):
        ours, theirs = both(objects, parts)
        assert ours == theirs


@cases(*LAYOUTS, where=is_writable)
def test_a_write_of_every_kind_of_selection_assigns_what_numpy_assigns(
    stores, layout, written, oracle
) -> None:
    store, data = stores.holding(written(layout)), DATA.copy()
    array = opened(store)
    for number, name in enumerate(SELECTIONS, 1):
        write(array, data, name, -10 * number)
    check_reads(array, data)
    with oracle():
        check_reads(opened(store), data)


@cases(*LAYOUTS, where=is_writable)
def test_a_write_of_the_fill_value_erases_the_chunk(both, layout, written) -> None:
    def whole_chunks(array: zarr.Array[Any]) -> None:
        array[block(0, 1)] = FILL
        # The edge chunk, up to the array's edge.
        array[32:, 20:] = FILL

    def in_two_parts(array: zarr.Array[Any]) -> None:
        array[16:20, :10] = FILL
        array[20:32, :10] = FILL

    objects = written(layout)
    ours, theirs = both(objects, whole_chunks)
    assert ours.keys() == theirs.keys()
    assert chunks_of(objects).keys() - ours.keys() == {key_of(layout, 0, 1), key_of(layout, 2, 2)}
    ours, theirs = both(objects, in_two_parts)
    assert ours.keys() == theirs.keys()
    assert key_of(layout, 1, 0) not in ours


@cases(*LAYOUTS, where=is_writable)
def test_a_partial_write_keeps_its_neighbours(stores, layout, written, oracle) -> None:
    objects = written(layout)
    store, data = stores.holding(objects), DATA.copy()
    array = opened(store)
    array[18:21, 12] = data[18:21, 12] = [-1, -2, -3]
    np.testing.assert_array_equal(array[...], data)
    with oracle():
        np.testing.assert_array_equal(opened(store)[...], data)
    after = stores.chunks_in(store)
    assert [key for key in after if after[key] != objects[key]] == [key_of(layout, 1, 1)]


@cases("raw", "v2", "raw shards", where=is_writable)
def test_a_partial_write_to_a_missing_chunk_merges_into_the_fill_value(
    both, layout, written
) -> None:
    def act(array: zarr.Array[Any]) -> None:
        array[18:21, 12] = 8

    ours, theirs = both(empty(written, layout), act)
    assert ours.keys() == theirs.keys() == {key_of(layout, 1, 1)}


@cases("raw", "v2 raw", where=is_writable)
def test_an_array_without_dimensions_is_written(both, layout, written) -> None:
    objects = written(layout, np.array(7, "int32"), chunks=())
    key = "array/0" if layout == "v2 raw" else "array/c"
    for value, keys in ((8, {key}), (FILL, set())):
        ours, theirs = both(objects, lambda array, value=value: array.__setitem__((), value))
        assert ours == theirs
        assert ours.keys() == keys


# -- shards -----------------------------------------------------------------------------------------


@cases(*SHARDS, where=is_writable)
def test_an_array_in_shards_has_one_key_per_shard(both, layout, written) -> None:
    def act(array: zarr.Array[Any]) -> None:
        array[:32] = DATA[:32]

    ours, theirs = both(empty(written, layout), act)
    assert ours.keys() == theirs.keys()
    assert ours.keys() == {key_of(layout, i, j) for i in range(2) for j in range(3)}


@cases(*SHARDS)
def test_a_part_of_a_shard_is_read(stores, layout, written) -> None:
    array = opened(stores.holding(written(layout)))
    for selection in ((17, 11), (slice(20, 24), slice(15, 20)), (slice(30, 34), slice(8, 12))):
        np.testing.assert_array_equal(array[selection], DATA[selection])


@cases(*SHARDS)
def test_a_missing_subchunk_reads_as_fill_value(stores, layout, written) -> None:
    data = DATA.copy()
    data[20:24, 15:20] = FILL
    check_reads(opened(stores.holding(written(layout, data))), data)


@cases(*SHARDS, where=is_writable)
def test_a_partial_write_of_a_shard_is_read_by_zarr(both, layout, written) -> None:
    def act(array: zarr.Array[Any]) -> None:
        array[17, 11] = 5
        array[19:26, 8:17] = DATA[19:26, 8:17] + 1
        array[20:24, 15:20] = FILL

    for objects in (written(layout), empty(written, layout)):
        ours, theirs = both(objects, act)
        assert ours.keys() == theirs.keys()
        if layout in DETERMINED:
            assert ours == theirs


@cases(*SHARDS, where=is_writable)
def test_a_shard_emptied_by_subchunks_is_erased(both, layout, written) -> None:
    def act(array: zarr.Array[Any]) -> None:
        for row in range(16, 32, 4):
            for column in (10, 15):
                array[row : row + 4, column : column + 5] = FILL

    ours, theirs = both(written(layout), act)
    assert ours.keys() == theirs.keys()
    assert key_of(layout, 1, 1) not in ours


# -- damage -----------------------------------------------------------------------------------------

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated by half": lambda data: data[: len(data) // 2],
    "truncated by one byte": lambda data: data[:-1],
    "longer by four bytes": lambda data: data + bytes(4),
}


@pytest.mark.skipif(Version("3.3") > ZARR, reason="older releases read damaged shards as missing")
@pytest.mark.parametrize("damage", DAMAGES)
@cases("raw", "zstd", "raw shards", "index at the start")
def test_a_chunk_of_another_length_raises_the_class_that_zarr_raises_and_names_the_key(
    stores, layout, damage, written, oracle
) -> None:
    if damage == "empty" and not stores.kind.takes_empty_objects:
        pytest.skip("the store refuses an empty object")
    objects, key = written(layout), key_of(layout, 1, 1)
    objects[key] = DAMAGES[damage](objects[key])
    store, copy = stores.holding(objects), stores.holding(objects)
    for selection in (..., block(1, 1), (17, 11), (slice(20, 22), slice(12, 28))):
        found = outcome(opened(store), selection)
        with oracle():
            expected = outcome(opened(copy), selection)
        if not isinstance(expected, Exception):
            assert found == expected
            continue
        # zarr wraps the store's own error in an exception group, where it reads several subchunks at once.
        accepted = getattr(expected, "exceptions", (expected,))
        assert type(found) in map(type, accepted), selection
        # An error that the store itself raised keeps its message, and has the key in a note.
        text = "\n".join((str(found), *getattr(found, "__notes__", ())))
        assert key.removeprefix("array/") in text
    # The other chunks are unaffected.
    np.testing.assert_array_equal(opened(store)[:16], DATA[:16])


@cases(
    "raw",
    "zstd",
    "v2",
    "raw shards",
    "index at the start",
    "nested shards",
    where=lambda kind: kind.can_lose_objects,
)
def test_a_chunk_that_vanishes_reads_as_fill_value(stores, layout, written) -> None:
    store = stores.holding(written(layout))
    array = opened(store)
    check_reads(array)
    stores.delete(store, key_of(layout, 1, 1))
    check_reads(array, without(1, 1))


@cases("raw", "zstd", "v2", "raw shards", "index at the start", "nested shards", where=is_writable)
def test_a_partial_write_to_a_chunk_that_vanished_merges_into_the_fill_value(
    stores, layout, written, oracle
) -> None:
    store, data = stores.holding(written(layout)), without(1, 1)
    array = opened(store)
    array[17, 11]
    stores.delete(store, key_of(layout, 1, 1))
    array[18, 12:14] = data[18, 12:14] = 6
    check_reads(array, data)
    with oracle():
        check_reads(opened(store), data)


# -- refusals ---------------------------------------------------------------------------------------


@cases("raw", "v2", "raw shards")
def test_a_read_only_store_refuses_a_write_with_zarrs_message(
    stores, layout, written, oracle
) -> None:
    objects = written(layout)
    store = stores.holding(objects)
    if store.read_only:
        refusing = store
    else:
        try:
            refusing = store.with_read_only(True)
        except NotImplementedError:
            pytest.skip("the store cannot be made read-only")
    # On a copy in memory: on some stores zarr's own pipeline writes through a read-only store.
    copy = MemoryStore()
    with oracle():
        create(copy, layout)
        with pytest.raises(ValueError) as expected:
            opened(copy.with_read_only(True))[...] = 1
    array = zarr.open_array(refusing, path="array", mode="r")
    rows = slice(2, 30)
    for selection, value in ((..., 1), ((3, 4), 5), (block(0, 0), FILL), (rows, DATA[rows])):
        with pytest.raises(ValueError) as ours:
            array[selection] = value
        assert str(ours.value) == str(expected.value)
    # An empty selection writes nothing.
    array[0:0] = 1
    np.testing.assert_array_equal(array[...], DATA)
    np.testing.assert_array_equal(opened(store)[...], DATA)
    if stores.kind.is_writable:
        assert stores.chunks_in(store) == chunks_of(objects)
