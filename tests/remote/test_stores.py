"""Every kind of store that is accessed through Python or wraps another: reads and writes agree with NumPy and zarr's own pipeline.

Stores behind a server are in test_servers.py, request counts in test_requests.py.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import icechunk
import numpy as np
import obstore.store
import pytest
import zarr
from zarr.abc.store import Store
from zarr.storage import (
    LocalStore,
    LoggingStore,
    MemoryStore,
    ObjectStore,
    WrapperStore,
    ZipStore,
)
from zarr.testing.store import LatencyStore

import zarrs
from support.agreement import DATA, LAYOUTS, SHAPE, check_reads, check_store
from support.stores import UserStore, fsspec_local, fsspec_memory, managed_memory, obstore_local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RELEASE = tuple(map(int, zarr.__version__.split(".")[:2]))


class Reversing(WrapperStore[Store]):
    """A wrapper that stores the bytes of each chunk in reverse order."""

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        found = await self._store.get(key, prototype)
        if found is None:
            return None
        data = found.to_bytes() if key.endswith(("json", ".zarray")) else found.to_bytes()[::-1]
        plain = UserStore()
        plain.objects[key] = data
        return await plain.get(key, prototype, byte_range)

    async def set(self, key: str, value: Any) -> None:
        if not key.endswith(("json", ".zarray")):
            value = type(value).from_bytes(value.to_bytes()[::-1])
        await self._store.set(key, value)

    if hasattr(Store, "get_ranges"):
        # The wrapper's own would bypass `get`.
        get_ranges = Store.get_ranges


class Hiding(LocalStore):
    """A local store whose `get` hides one chunk."""

    async def get(self, key: str, *arguments: Any, **more: Any) -> Any:
        return None if key.endswith("0/0") else await super().get(key, *arguments, **more)


def cache(_: Path) -> Any:
    from zarr.experimental.cache_store import CacheStore

    return CacheStore(MemoryStore(), cache_store=MemoryStore())


STORES: dict[str, Callable[[Path], Any]] = {
    "memory": lambda _: MemoryStore(),
    "managed memory": lambda _: managed_memory(),
    "managed memory with a path": lambda _: managed_memory("a/b"),
    "obstore, local": obstore_local,
    "obstore, memory": lambda _: ObjectStore(obstore.store.MemoryStore()),
    "fsspec, local": fsspec_local,
    "fsspec, memory": lambda _: fsspec_memory(),
    "logging": lambda _: LoggingStore(MemoryStore(), log_level="ERROR"),
    "wrapper": lambda _: WrapperStore(MemoryStore()),
    "wrapper of wrapper": lambda path: WrapperStore(WrapperStore(LocalStore(path / "w"))),
    "wrapper of obstore": lambda path: WrapperStore(obstore_local(path)),
    "wrapper with its own get": lambda _: Reversing(MemoryStore()),
    "cache": cache,
    "latency": lambda _: LatencyStore(MemoryStore(), get_latency=1e-4, set_latency=1e-4),
    "latency over obstore": lambda path: LatencyStore(obstore_local(path), get_latency=1e-4),
    "user-defined": lambda _: UserStore(),
}
SINCE = {"managed memory": (3, 2), "managed memory with a path": (3, 2), "cache": (3, 2)}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


@pytest.fixture(params=STORES)
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if RELEASE < SINCE.get(request.param, (3, 1)):
        pytest.skip("not in this release of zarr")
    return STORES[request.param](tmp_path)


def test_reads_and_writes_agree_with_numpy_and_zarr(any_store, layout, oracle) -> None:
    check_store(any_store, layout, oracle)


def test_a_store_that_could_be_called_may_be_awaited(tmp_path, layout, oracle) -> None:
    # With a limit this low, calls from threads would exceed it.
    with zarr.config.set({"codec_pipeline.requests_maximum": 2}):
        check_store(obstore_local(tmp_path), layout, oracle)
        check_store(fsspec_local(tmp_path), layout, oracle)


def test_a_dictionary_is_a_store(layout, oracle) -> None:
    objects: dict[str, Any] = {}
    group = zarr.open(objects, mode="w", zarr_format=layout.get("zarr_format", 3))
    assert isinstance(group, zarr.Group)
    check_store(objects, layout, oracle)
    assert any("/c/" in key or key.startswith("array/0") for key in objects)


def test_an_archive_is_written_once_and_read_through_other_stores(tmp_path, layout, oracle) -> None:
    store = ZipStore(tmp_path / "array.zip", mode="w")
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", **layout)
    array[:] = DATA
    store.close()
    with ZipStore(tmp_path / "array.zip", mode="r") as opened:
        with oracle():
            check_reads(zarr.open_array(opened, mode="r"))
        check_reads(zarr.open_array(opened, mode="r"))
    with ZipStore(tmp_path / "array.zip", mode="r") as opened:
        check_reads(zarr.open_array(WrapperStore(opened), mode="r"))


def test_an_override_of_get_is_honoured(tmp_path, layout, oracle) -> None:
    store = Hiding(tmp_path)
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", fill_value=0, **layout)
    array[:] = DATA
    expected = DATA.copy()
    separator = "." if layout.get("zarr_format") == 2 else "/"
    if separator == "/":
        expected[:16, :10] = 0
    check_reads(array, expected)
    check_reads(zarr.open_array(LocalStore(tmp_path)))
    # A hidden chunk is not merged into.
    array[0, 0] = 7
    if separator == "/":
        expected[:16, :10] = 0
    expected[0, 0] = 7
    check_reads(zarr.open_array(LocalStore(tmp_path)), expected)


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("memory", "native memory"),
        ("wrapper", "native memory"),
        ("wrapper of wrapper", "native files"),
        ("obstore, local", "called from threads"),
        ("obstore, local", "reads are native files"),
        ("obstore, memory", "called from threads"),
        ("fsspec, local", "called from threads"),
        ("fsspec, memory", "called from threads"),
        ("wrapper of obstore", "called from threads"),
        ("user-defined", "awaited in Python"),
    ],
)
def test_explain_says_how_a_store_is_accessed(tmp_path, kind, way) -> None:
    array = zarr.create_array(STORES[kind](tmp_path), shape=(8,), chunks=(4,), dtype="int32")
    assert way in zarrs.explain(array).store


@pytest.mark.parametrize(
    "name", ["", "a/b_c-1.zarr", "with space", "50%", "a#1", "[x]", ".hidden", "größe"]
)
def test_arrays_of_any_name_in_local_objects_are_read_back(tmp_path, name, layout, oracle) -> None:
    store = obstore_local(tmp_path)
    with oracle():
        array = zarr.create_array(store, name=name or None, shape=SHAPE, dtype="int32", **layout)
        array[:] = DATA
    check_reads(zarr.open_array(store, path=name), DATA)
    native = "native" in zarrs.explain(zarr.open_array(store, path=name)).store
    assert native == (name in ("", "a/b_c-1.zarr"))


@pytest.mark.parametrize("damage", ["truncated", "a directory", "a loop"])
def test_an_object_that_is_no_readable_file_is_left_to_obstore(tmp_path, damage, oracle) -> None:
    store = obstore_local(tmp_path)
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", chunks=(16, 10))
    array[:] = DATA
    chunk = tmp_path / "objects" / "c" / "1" / "0"
    stored = chunk.read_bytes()
    chunk.unlink()
    if damage == "truncated":
        chunk.write_bytes(stored[:-3])
    elif damage == "a directory":
        chunk.mkdir()
    else:
        chunk.symlink_to(chunk)

    def outcome() -> Any:
        try:
            return zarr.open_array(store)[:]
        except Exception as error:
            return type(error)

    with oracle():
        theirs = outcome()
    ours = outcome()
    if isinstance(theirs, type):
        assert ours is theirs
    else:
        np.testing.assert_array_equal(ours, theirs)


@contextmanager
def session_of(repository: icechunk.Repository) -> Iterator[Any]:
    session = repository.writable_session("main")
    yield session.store
    session.commit("a change")


@pytest.mark.parametrize("kind", ["memory", "local"])
@pytest.mark.parametrize("name", ["plain", "raw", "sharded"])
def test_icechunk_sessions_are_read_written_and_committed(tmp_path, kind, name, oracle) -> None:
    storage = (
        icechunk.in_memory_storage()
        if kind == "memory"
        else icechunk.local_filesystem_storage(str(tmp_path / "repository"))
    )
    repository = icechunk.Repository.create(storage)
    with session_of(repository) as store:
        check_store(store, LAYOUTS[name], oracle)
        zarr.create_array(
            store, name="kept", shape=SHAPE, dtype="int32", fill_value=0, **LAYOUTS[name]
        )[:] = DATA
    first = repository.readonly_session("main")
    with session_of(repository) as store:
        array = zarr.open_array(store, path="kept")
        check_reads(array)
        array[3:20] = 1
    changed = DATA.copy()
    changed[3:20] = 1
    for session, data in ((first, DATA), (repository.readonly_session("main"), changed)):
        array = zarr.open_array(session.store, path="kept", mode="r")
        check_reads(array, data)
        with oracle():
            check_reads(zarr.open_array(session.store, path="kept", mode="r"), data)
        with pytest.raises(ValueError, match="read"):
            array[0] = 1


def test_a_read_only_store_refuses_a_write(any_store) -> None:
    try:
        refusing = any_store.with_read_only(True)
    except NotImplementedError:
        pytest.skip("cannot be made read-only")
    array = zarr.create_array(any_store, name="a", shape=(8,), chunks=(4,), dtype="int32")
    array[:] = 5
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(refusing, path="a", mode="r")[:] = 6
    np.testing.assert_array_equal(array[:], 5)


def test_large_objects_and_many_small_ones(any_store, oracle) -> None:
    # Larger than what the event loop's thread decodes itself, and than what a call to a store covers.
    data = np.random.default_rng(2).integers(0, 50, (5, 1 << 20), "int32")
    array = zarr.create_array(
        any_store, name="large", shape=data.shape, chunks=(2, 1 << 20), dtype="int32"
    )
    array[:] = data
    np.testing.assert_array_equal(array[:], data)
    array[1:4, 5:-5] = data[1:4, 5:-5] = 3
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(any_store, path="large")[:], data)
    np.testing.assert_array_equal(array[:, 10:20], data[:, 10:20])
    small = zarr.create_array(any_store, name="small", shape=(400,), chunks=(2,), dtype="int32")
    small[:] = np.arange(400)
    np.testing.assert_array_equal(small[:], np.arange(400))
    small[1:399] = 2
    assert (small[1:399] == 2).all()
