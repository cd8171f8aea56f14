"""Stores in Python that answer at once: called from a few threads instead of awaited, which costs more than they do.

Only classes whose synchronous calls are known to mean what their awaited ones mean, by exact type: obstore in memory and on
a local disk, fsspec's memory and local file systems, and a logged native store. Everything else is awaited (``_remote.py``).
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.storage import (
    FsspecStore,
    LocalStore,
    LoggingStore,
    MemoryStore,
    ObjectStore,
)

from zarrs._stores import asked_for, is_obstore, unwrapped
from zarrs._waiting import ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import BufferPrototype

    from zarrs import _internal

# Larger objects are awaited: then the wait costs little, and decoding is shared out by the pool.
LARGEST = 4 << 20
# So many bytes are got on the event loop's own thread: a hand-over to another costs more.
AT_ONCE = 256 << 10
THREADS = 4
# Seconds after which a call on the loop's thread counts as slow, and how many calls then go to threads.
SLOW = 2e-3
SLOW_CALLS = 16

# What zarr's `ObjectStore` takes for a missing key.
_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


def byte_range(start: int | None, end: int | None) -> ByteRequest | None:
    """zarr's request for bytes ``start:end``; for the last ``-start`` ones if `end` is None; None for all."""
    if start is None:
        return None
    if end is None:
        return SuffixByteRequest(-start)
    return RangeByteRequest(start, end)


class _Obstore:
    """The objects of a local obstore store, through its synchronous functions."""

    def __init__(self, store: Any) -> None:
        import obstore

        self._obstore = obstore
        self._store = store.store

    def get(self, key: str, start: int | None, end: int | None) -> Any:
        try:
            if start is None:
                data: Any = self._obstore.get(self._store, key).bytes()
            elif end is None:
                options: Any = {"range": {"suffix": -start}}
                data = self._obstore.get(self._store, key, options=options).bytes()
            else:
                data = self._obstore.get_range(self._store, key, start=start, end=end)
        except _MISSING:
            return None
        return np.frombuffer(data, dtype="B")

    def set(self, key: str, data: Any) -> None:
        self._obstore.put(self._store, key, data)

    def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._obstore.delete(self._store, key)


class _Fsspec:
    """The files of a synchronous file system that zarr's `FsspecStore` wraps."""

    def __init__(self, store: Any) -> None:
        self._files = store.fs.sync_fs
        self._root = store.path
        self._missing = store.allowed_exceptions

    def _path(self, key: str) -> str:
        root = self._root.rstrip("/")
        return (f"{root}/{key}" if root else key).rstrip("/")

    def get(self, key: str, start: int | None, end: int | None) -> Any:
        try:
            data = self._files.cat_file(self._path(key), start=start, end=end)
        except self._missing:
            return None
        return np.frombuffer(data, dtype="B")

    def set(self, key: str, data: Any) -> None:
        self._files.pipe_file(self._path(key), bytes(data))

    def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError, *self._missing):
            self._files.rm(self._path(key))


class _Synchronous:
    """A store with synchronous methods of its own."""

    def __init__(self, store: Any, prototype: BufferPrototype) -> None:
        self._store = store
        self._prototype = prototype

    def get(self, key: str, start: int | None, end: int | None) -> Any:
        return self._store.get_sync(
            key, prototype=self._prototype, byte_range=byte_range(start, end)
        )

    def set(self, key: str, data: Any) -> None:
        array = np.frombuffer(data, dtype="B")
        self._store.set_sync(key, self._prototype.buffer.from_array_like(array))

    def delete(self, key: str) -> None:
        self._store.delete_sync(key)


def near(store: Any, prototype: BufferPrototype) -> Any:
    """How `store` is called without waiting; None for stores that have to be awaited."""
    store = unwrapped(store)
    kind = type(store)
    if kind is ObjectStore:
        if is_obstore(store.store, "LocalStore", "MemoryStore"):
            return _Obstore(store)
    elif kind is FsspecStore:
        wrapper = type(store.fs)
        if (wrapper.__module__, wrapper.__name__) == _WRAPPER and store.fs.semaphore is None:
            files = type(store.fs.sync_fs)
            if (files.__module__, files.__name__) in _FILES:
                return _Fsspec(store)
    elif (
        kind is LoggingStore
        # zarr's own pipeline calls it in the same way, from zarr 3.3 on.
        and hasattr(store, "get_sync")
        and type(unwrapped(store._store)) in (LocalStore, MemoryStore)
    ):
        return _Synchronous(store, prototype)
    return None


_WRAPPER = ("fsspec.implementations.asyn_wrapper", "AsyncFileSystemWrapper")
_FILES = {
    ("fsspec.implementations.memory", "MemoryFileSystem"),
    ("fsspec.implementations.local", "LocalFileSystem"),
}


class _Threads:
    """This process's threads for calls into near stores, made at first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self.slow_calls = 0

    def pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(2 * THREADS, thread_name_prefix="zarrs-near")
            return self._pool


_threads = _Threads()


def forget_parent() -> None:
    """For a forked child: its parent's threads do not exist in it."""
    global _threads
    _threads = _Threads()


async def read(session: _internal.RemoteRead, store: Any, requests: list[Any], most: int) -> Any:
    """Gets `requests` and what follows from them, and returns the session's results."""
    todo = collections.deque(requests)

    def work() -> None:
        while todo and not session.is_stopped():
            try:
                number, key, start, end, _ = todo.popleft()
            except IndexError:
                break
            with asked_for(key):
                found = store.get(key, start, end)
            todo.extend(session.feed(number, found, True))

    small = len(requests) <= 4 and sum(request[4] for request in requests) <= AT_ONCE
    await _share_out(session, work, todo, 0 if small else min(THREADS, most, len(requests)))
    await ended(session)
    return session.result()


async def write(session: _internal.RemoteWrite, store: Any, chunks: list[Any], most: int) -> None:
    """Encodes `chunks` over what is stored, and stores them."""
    todo = collections.deque(chunks)
    ready: collections.deque[Any] = collections.deque()

    def keep() -> None:
        while ready and not session.is_stopped():
            try:
                _, key, data = ready.popleft()
            except IndexError:
                break
            with asked_for(key):
                if data is None:
                    store.delete(key)
                else:
                    store.set(key, data)

    def work() -> None:
        while todo and not session.is_stopped():
            try:
                number, key, needs_old, _ = todo.popleft()
            except IndexError:
                break
            with asked_for(key):
                found = store.get(key, None, None) if needs_old else None
            session.feed(number, found, True)
            ready.extend(session.take())
            keep()

    small = len(chunks) <= 2 and sum(chunk[3] for chunk in chunks) <= AT_ONCE // 8
    threads = 0 if small else min(THREADS, most, len(chunks))
    await _share_out(session, work, todo, threads)
    # What the pool encodes, for its codecs may need this very thread, is there only now.
    await ended(session)
    ready.extend(session.take())
    await _share_out(session, keep, ready, min(threads, len(ready)))
    session.result()


async def _share_out(session: Any, work: Callable[[], None], todo: Any, threads: int) -> None:
    """Runs `work` on so many threads, on this one if that is none, until nothing is left to do."""
    if threads == 0 and _threads.slow_calls > 0:
        _threads.slow_calls -= 1
        threads = 1
    try:
        if threads == 0:
            started = time.perf_counter()
            work()
            if time.perf_counter() - started > SLOW:
                _threads.slow_calls = SLOW_CALLS
            return

        def guarded() -> None:
            try:
                work()
            except BaseException:
                # At once: the event loop may be busy, and the other threads go on until they see it.
                todo.clear()
                session.stop()
                raise

        loop = asyncio.get_running_loop()
        pool = _threads.pool()
        futures = {loop.run_in_executor(pool, guarded) for _ in range(threads)}
        await _all_of(session, todo, futures)
    except BaseException:
        todo.clear()
        session.stop()
        await ended(session)
        raise


async def _all_of(session: Any, todo: Any, futures: set[asyncio.Future[None]]) -> None:
    """Waits for all of `futures`, also when one fails or this task is cancelled: their threads hold the arrays."""
    failure: BaseException | None = None
    waiting = set(futures)
    while waiting:
        try:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError as error:
            failure = error
        else:
            failure = next((e for future in done if (e := future.exception())), None) or failure
        if failure is not None:
            todo.clear()
            session.stop()
    if failure is not None:
        raise failure


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_parent)
