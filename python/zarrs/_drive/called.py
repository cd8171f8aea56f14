"""The driver of calls whose store is called from threads, each of which decodes or encodes what it fetches."""

from __future__ import annotations

import asyncio
import collections
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from zarrs._drive.awaited import concurrency
from zarrs._drive.wait import asked_for, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zarrs import _internal
    from zarrs._stores.called import CalledStore

# Threads of this process that call stores; one call uses half of them at most.
THREADS = 8


class _Threads:
    """This process's threads for calls of stores, made at first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="zarrs-store")
            return self._pool


_threads = _Threads()


def forget_parent() -> None:
    """In a forked child: the parent's threads do not exist there."""
    global _threads
    _threads = _Threads()


async def read(call: _internal.Call, store: CalledStore, requests: list[_internal.Request]) -> None:
    """Fetches `requests` and those that follow, and feeds the answers to `call`."""
    todo = collections.deque(requests)

    def work() -> None:
        for request in _taken_from(todo, call):
            with asked_for(request.key):
                found = store.get(request.key, request.start, request.end)
            todo.extend(call.feed(request.id, found, dedicated_thread=True))

    await _share_out(call, work, todo, _threads_for(requests, is_write=False))


async def write(
    call: _internal.Call, store: CalledStore, requests: list[_internal.Request]
) -> None:
    """Fetches the stored bytes that `call` merges with, and stores what it encodes."""
    todo = collections.deque(requests)
    ready: collections.deque[Any] = collections.deque()

    def store_ready() -> None:
        for _, key, data in _taken_from(ready, call):
            with asked_for(key):
                if data is None:
                    store.delete(key)
                else:
                    store.set(key, data)

    def work() -> None:
        for request in _taken_from(todo, call):
            with asked_for(request.key):
                found = store.get(request.key, None, None) if request.needed else None
            call.feed(request.id, found, dedicated_thread=True)
            ready.extend(call.take())
            store_ready()

    threads = _threads_for(requests, is_write=True)
    await _share_out(call, work, todo, threads)
    # The pool encodes chunks whose codecs may need this very thread: they are there only now.
    await ended(call)
    ready.extend(call.take())
    await _share_out(call, store_ready, ready, min(threads, len(ready)))


def _taken_from(todo: collections.deque[Any], call: _internal.Call) -> Iterator[Any]:
    """Takes one after another from `todo`, from which other threads take too, until `call` is stopped."""
    while todo and not call.is_stopped():
        try:
            taken = todo.popleft()
        except IndexError:
            return
        yield taken


def _threads_for(requests: list[_internal.Request], *, is_write: bool) -> int:
    from zarrs import _internal

    size = sum(request.size for request in requests)
    return _internal.store_threads(len(requests), size, is_write=is_write, most=concurrency())


async def _share_out(
    call: _internal.Call, work: Callable[[], None], todo: Any, threads: int
) -> None:
    """Runs `work` on so many threads, on this one if that is none, until nothing is left to do."""
    from zarrs import _internal

    try:
        if threads == 0:
            started = time.perf_counter()
            work()
            _internal.store_call_took(time.perf_counter() - started)
            return

        def guarded() -> None:
            try:
                work()
            except BaseException:
                # At once: the event loop may be busy, and the other threads go on until they see it.
                todo.clear()
                call.cancel()
                raise

        loop = asyncio.get_running_loop()
        pool = _threads.pool()
        futures = {loop.run_in_executor(pool, guarded) for _ in range(threads)}
        await _all_ended(call, todo, futures)
    except BaseException:
        todo.clear()
        call.cancel()
        await ended(call)
        raise


async def _all_ended(call: _internal.Call, todo: Any, futures: set[asyncio.Future[None]]) -> None:
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
            call.cancel()
    if failure is not None:
        raise failure


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_parent)
