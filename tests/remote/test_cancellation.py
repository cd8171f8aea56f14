"""Cancelled tasks over stores in Python, and ownership of memory: buffers passed to a store, arrays returned to a caller.

Errors are in test_faults.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import obstore.store
import pytest
import zarr
from zarr.storage import FsspecStore, ObjectStore

from support.recording import METADATA, Recorder

if TYPE_CHECKING:
    from pathlib import Path

DATA = np.arange(1, 64 * 64 + 1, dtype="int32").reshape(64, 64)
LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": {"chunks": (8, 8), "compressors": None},
    "plain": {"chunks": (8, 8)},
    "sharded": {"chunks": (4, 4), "shards": (8, 8)},
}
WHOLE = (slice(None), slice(None))
# A part of every chunk.
PART = (slice(1, 63), slice(0, 64, 9))


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


def make(store: Any = None, **layout: Any) -> tuple[Any, zarr.Array[Any]]:
    store = Recorder() if store is None else store
    array = zarr.create_array(
        store, shape=DATA.shape, dtype=DATA.dtype, fill_value=0, overwrite=True, **layout
    )
    array[...] = DATA
    if isinstance(store, Recorder):
        store.forget()
    return store, array


class Barrier:
    """Blocks requests of one kind until `open` is set; `full` is set once `limit` of them wait."""

    def __init__(self, kind: str, limit: int) -> None:
        self.kind = kind
        self.limit = limit
        self.waiting = 0
        self.cancelled = 0
        self.full = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, kind: str, *_: Any) -> None:
        if kind != self.kind:
            return
        self.waiting += 1
        if self.waiting == self.limit:
            self.full.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.mark.parametrize("kind", ["get", "set"])
def test_no_set_starts_after_a_write_is_cancelled_and_running_ones_end(layout, kind) -> None:
    store, array = make(**layout)

    async def main() -> None:
        barrier = store.before = Barrier(kind, 4)
        write = asyncio.ensure_future(
            array._async_array.setitem(WHOLE if kind == "set" else PART, -1)
        )
        await barrier.full.wait()
        sets = len(store.sets)
        write.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        # The write waits for the requests in flight.
        assert not write.done()
        assert barrier.cancelled == 0
        barrier.open.set()
        with pytest.raises(asyncio.CancelledError):
            await write
        assert len(store.sets) == sets == (4 if kind == "set" else 0)
        assert len([one for one in store.ended if one[0] == kind]) == 4
        assert store.in_flight == 0

    with zarr.config.set({"async.concurrency": 4}):
        asyncio.run(main())
    store.before = None
    # Every chunk has its old or its new content.
    found = array[:]
    for i in range(0, 64, 8):
        for j in range(0, 64, 8):
            chunk, old = found[i : i + 8, j : j + 8], DATA[i : i + 8, j : j + 8]
            assert (chunk == old).all() or (chunk == -1).all()


@pytest.mark.parametrize("selection", [WHOLE, PART], ids=["whole", "part"])
def test_a_cancelled_read_ends_promptly_and_cancels_its_requests(layout, selection) -> None:
    store, array = make(**layout)

    async def main() -> None:
        barrier = store.before = Barrier("get", 4)
        read = asyncio.ensure_future(array._async_array.getitem(selection))
        await barrier.full.wait()
        read.cancel()
        # The requests stay blocked.
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(read, 20)
        assert barrier.cancelled == 4
        assert len(store.gets) == 4
        assert store.in_flight == 0

    with zarr.config.set({"async.concurrency": 4}):
        asyncio.run(main())
    store.before = None
    np.testing.assert_array_equal(array[:], DATA)


def test_a_read_that_times_out_frees_its_request_slots() -> None:
    store, array = make(chunks=(8, 8))

    async def main() -> None:
        barrier = store.before = Barrier("get", 3)
        others = [asyncio.ensure_future(array._async_array.getitem(WHOLE)) for _ in range(5)]
        await barrier.full.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(array._async_array.getitem(WHOLE), 0.01)
        for other in others[:4]:
            other.cancel()
        await asyncio.wait(others[:4])
        barrier.open.set()
        np.testing.assert_array_equal(await asyncio.wait_for(others[4], 30), DATA)

    with zarr.config.set({"codec_pipeline.requests_maximum": 3}):
        asyncio.run(main())
        store.before = None
        np.testing.assert_array_equal(array[:], DATA)


def test_a_call_cancelled_while_it_waits_does_not_take_the_slot_of_another() -> None:
    stores = [make(chunks=(64, 64)) for _ in range(3)]

    async def main() -> None:
        barrier = stores[0][0].before = Barrier("get", 1)
        first, second, third = (
            asyncio.ensure_future(array._async_array.getitem(WHOLE)) for _, array in stores
        )
        await barrier.full.wait()
        third.cancel()
        await asyncio.wait([third])
        # Long enough for the remaining call to queue again behind the cancelled one.
        await asyncio.sleep(0.01)
        barrier.open.set()
        np.testing.assert_array_equal(await asyncio.wait_for(first, 30), DATA)
        np.testing.assert_array_equal(await asyncio.wait_for(second, 30), DATA)

    with zarr.config.set({"codec_pipeline.requests_maximum": 1}):
        asyncio.run(main())


def test_a_store_that_suppresses_cancellation_leaves_no_pending_cancellation() -> None:
    store, array = make(chunks=(64, 8))

    async def answer(_: str, key: str, __: Any) -> None:
        if key == "c/0/3":
            await asyncio.sleep(0.005)
            raise OSError("no such luck")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)

    async def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(OSError, match="no such luck"):
            await array._async_array.getitem(WHOLE)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        # A task group tells errors from cancellation by this count.
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        await asyncio.sleep(0)

    store.before = answer
    asyncio.run(main())


def called_stores(path: Path) -> dict[str, Any]:
    return {
        "obstore, memory": lambda: ObjectStore(obstore.store.MemoryStore()),
        "obstore, local": lambda: ObjectStore(
            obstore.store.LocalStore(str(path / "objects"), mkdir=True)
        ),
        "fsspec, local": lambda: FsspecStore.from_url(
            f"file://{path / 'files'}", storage_options={"auto_mkdir": True}
        ),
    }


@pytest.mark.parametrize("kind", ["obstore, memory", "obstore, local", "fsspec, local"])
def test_cancelling_a_call_on_a_called_store_leaves_old_or_new_chunks(
    tmp_path, kind, layout
) -> None:
    _, array = make(called_stores(tmp_path)[kind](), **layout)

    async def main() -> None:
        for turn in range(12):
            write = asyncio.ensure_future(array._async_array.setitem(WHOLE, -1 - turn))
            await asyncio.sleep(0.0004 * turn)
            write.cancel()
            await asyncio.wait([write])
            assert write.cancelled() or write.exception() is None
            read = asyncio.ensure_future(array._async_array.getitem(WHOLE))
            await asyncio.sleep(0.0004 * turn)
            read.cancel()
            await asyncio.wait([read])
            assert read.cancelled() or read.exception() is None

    asyncio.run(main())
    found = array[:]
    chunks = found.reshape(8, 8, 8, 8).swapaxes(1, 2).reshape(64, 64)
    old = DATA.reshape(8, 8, 8, 8).swapaxes(1, 2).reshape(64, 64)
    for chunk, before in zip(chunks, old, strict=True):
        assert (chunk == chunk[0]).all() or (chunk == before).all()


# -- memory -----------------------------------------------------------------------------------------


class Keeping(Recorder):
    """Keeps the buffers passed to `set`, with a digest of each."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[tuple[Any, str]] = []

    async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
        if not key.endswith(METADATA):
            self.received.append((value, digest(value)))
        await super().set(key, value, byte_range)


def digest(buffer: Any) -> str:
    return hashlib.sha256(buffer.to_bytes()).hexdigest()


@pytest.mark.parametrize("value", ["an array", "a scalar", "chunks"])
def test_a_buffer_passed_to_set_is_never_changed_and_aliases_nothing(layout, value) -> None:
    store = Keeping()
    _, array = make(store, **layout)
    mine = -DATA
    if value == "chunks":
        # Each is one contiguous run, which an uncompressed chunk could store without a copy.
        for number in range(8):
            mine = np.full((8, 8), number, "int32")
            array[8 * number : 8 * number + 8, :8] = mine
            mine[:] = 99
    else:
        array[:] = mine if value == "an array" else 3
    assert store.received
    for buffer, _ in store.received:
        assert not np.shares_memory(buffer.as_numpy_array(), mine)
        assert not np.shares_memory(buffer.as_numpy_array(), DATA)
    mine[:] = 99
    array[PART] = 5
    array[:] = 6
    array[0] = 0
    array[:]
    assert all(digest(buffer) == before for buffer, before in store.received)


def test_a_read_returns_the_callers_own_memory_and_leaves_the_buffers_of_get_unchanged(
    layout,
) -> None:
    store, array = make(**layout)
    before = {key: digest(value) for key, value in store._store_dict.items()}
    for selection in (WHOLE, (slice(0, 8), slice(0, 8)), PART):
        found = array[selection]
        assert found.flags.writeable
        found[...] = -1
    np.testing.assert_array_equal(array[:], DATA)
    kept = dict(store._store_dict)
    array[PART] = -3
    array[3] = 8
    assert {key: digest(value) for key, value in kept.items()} == before
