"""The driver of calls whose store an event loop awaits: requests in flight, answers fed, encoded chunks stored.

Which bytes are needed, and what is decoded or encoded where, is decided in Rust.
"""

from __future__ import annotations

import asyncio
import collections
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.core.config import config as zarr_config

from zarrs._drive import limit
from zarrs._drive.tasks import TURN, Tasks
from zarrs._drive.wait import UnitSignal, asked_for, ended
from zarrs._stores.called import byte_range

if TYPE_CHECKING:
    from zarr.abc.store import Store
    from zarr.core.buffer import BufferPrototype

    from zarrs import _internal

# Bytes asked for or fetched and not decoded yet, or encoded and not stored yet, in one call.
BYTES_IN_FLIGHT = 256 << 20
DEFAULT_CONCURRENCY = 10


def concurrency() -> int:
    """Requests in flight in one call: zarr's own setting, where None means no limit."""
    most = zarr_config.get("async.concurrency", DEFAULT_CONCURRENCY)
    return max(most, 1) if isinstance(most, int) else 1 << 30


async def read(
    call: _internal.Call,
    store: Store,
    prototype: BufferPrototype,
    requests: list[_internal.Request],
    requests_maximum: int,
) -> None:
    """Fetches `requests` and those that follow, and feeds the answers to `call`."""
    in_flight = 0
    landed = asyncio.Event()
    signal = UnitSignal(call)

    async def fetch(request: _internal.Request) -> None:
        nonlocal in_flight
        while (held := in_flight + call.backlog()) and held + request.size > BYTES_IN_FLIGHT:
            if call.is_stopped():
                break
            if in_flight:
                landed.clear()
                await landed.wait()
            else:
                await signal.wait()
        if call.is_stopped():
            tasks.todo.clear()
            return
        in_flight += request.size
        try:
            with asked_for(request.key):
                buffer = await limit.requests.ask(
                    requests_maximum,
                    lambda: store.get(
                        request.key,
                        prototype=prototype,
                        byte_range=byte_range(request.start, request.end),
                    ),
                )
        finally:
            in_flight -= request.size
            landed.set()
        if tasks.error is None:
            tasks.todo.extend(call.feed(request.id, buffer))

    tasks = Tasks(fetch, concurrency(), cancels=True)
    tasks.todo.extend(requests)
    try:
        await tasks.work()
        while tasks.tasks:
            await asyncio.wait(tasks.tasks)
            if tasks.todo and tasks.error is None:
                await tasks.work()
        tasks.check()
    except BaseException:
        call.cancel()
        await tasks.close()
        await ended(call)
        raise


async def write(
    call: _internal.Call,
    store: Store,
    prototype: BufferPrototype,
    requests: list[_internal.Request],
    requests_maximum: int,
) -> None:
    """Fetches the stored bytes that `call` merges with, and stores what it encodes as each chunk is ready."""
    signal = UnitSignal(call)
    chunks = collections.deque(requests)
    # Bytes of the chunks that were started and are not stored, in all and by chunk.
    held = 0
    sizes: dict[int, int] = {}

    async def step(job: tuple[Any, ...]) -> None:
        """Fetches one chunk's stored bytes, or stores one that is ready."""
        nonlocal held
        number, key, *encoded = job

        async def ask() -> Any:
            # After an error no request starts, in tasks that waited here or were busy meanwhile.
            if cancelled or tasks.error is not None or call.is_stopped():
                return None
            if not encoded:
                return await store.get(key, prototype=prototype)
            if encoded[0] is None:
                await store.delete(key)
            else:
                array = np.frombuffer(encoded[0], dtype="B")
                await store.set(key, prototype.buffer.from_array_like(array))
            return None

        with asked_for(key):
            found = await limit.requests.ask(requests_maximum, ask)
        if cancelled or tasks.error is not None or call.is_stopped():
            return
        if encoded:
            held -= sizes.pop(number)
        else:
            call.feed(number, found)
        admit()

    def admit() -> None:
        """Starts as many chunks as may be held at once, and passes on what is encoded."""
        nonlocal held
        end = time.perf_counter() + TURN
        while chunks and (not held or held + chunks[0].size <= BYTES_IN_FLIGHT):
            if held and time.perf_counter() > end:
                break
            request = chunks.popleft()
            held += request.size
            sizes[request.id] = request.size
            if request.needed:
                tasks.todo.append((request.id, request.key))
            else:
                call.feed(request.id, None)
        tasks.todo.extend(call.take())

    tasks = Tasks(step, concurrency(), cancels=False)
    cancelled = False
    try:
        while tasks.error is None and not call.is_stopped():
            admit()
            tasks.start()
            if tasks.tasks:
                waiters: set[asyncio.Future[None]] = set(tasks.tasks)
                if tasks.has_room and (future := signal.arm()) is not None:
                    waiters.add(future)
                await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
            elif not call.is_idle():
                await signal.wait()
            else:
                # A unit may have ended since they were taken.
                tasks.todo.extend(call.take())
                if not tasks.todo and not chunks:
                    break
        await tasks.close()
        tasks.check()
    except BaseException:
        cancelled = True
        call.cancel()
        await tasks.close()
        await ended(call)
        raise
