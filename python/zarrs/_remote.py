"""The asyncio driver: stores that live in Python deliver bytes, the engine says which and decodes or encodes them.

Nothing is decided here about chunks; see ``docs/architecture.md``, "Stores in Python".
"""

from __future__ import annotations

import asyncio
import collections
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.core.config import config as zarr_config

from zarrs import _gate, _near
from zarrs._stores import asked_for
from zarrs._waiting import ended, release

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from zarr.abc.store import Store
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import BufferPrototype

    from zarrs import _internal
    from zarrs._config import Configuration

    Request = tuple[int, str, int | None, int | None, int]

# Bytes asked for or fetched and not decoded yet, or encoded and not stored yet, in one call.
BYTES_IN_FLIGHT = 256 << 20
DEFAULT_CONCURRENCY = 10
# Seconds after which the event loop gets a turn, where a store answers without waiting.
TURN = 2e-3


def coalescing(spec: ArraySpec) -> tuple[int, int]:
    """The largest gap, and the largest request, in bytes, for parts of one shard. Older releases have no setting."""
    config = spec.config
    return (
        getattr(config, "sharding_coalesce_max_gap_bytes", 1 << 20),
        getattr(config, "sharding_coalesce_max_bytes", 16 << 20),
    )


def _concurrency() -> int:
    """Requests in flight in one call: zarr's own setting, where None means no limit."""
    limit = zarr_config.get("async.concurrency", DEFAULT_CONCURRENCY)
    return max(limit, 1) if isinstance(limit, int) else 1 << 30


class _Crew:
    """The tasks of one call: each takes the next piece of work until none is left."""

    def __init__(self, work: Callable[[Any], Awaitable[None]], most: int, *, cancels: bool) -> None:
        self.todo: collections.deque[Any] = collections.deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.error: BaseException | None = None
        self._work = work
        self._cancels = cancels
        self._most = most
        # When the loop last had a turn that is known of, and whether the next one will be noted.
        self._turned = time.perf_counter()
        self._noting = False
        # Whoever serves or is about to, and those of them that have not had their first turn yet.
        self._busy = 0
        self._starting = 0
        # The caller's task while it serves, and whether it was cancelled from here.
        self._own: asyncio.Task[Any] | None = None
        self._interrupted = False

    @property
    def has_room(self) -> bool:
        """Whether one more piece of work could be under way."""
        return self._busy < self._most

    async def serve(self) -> None:
        """Works on the caller's own task, until nothing is left to take."""
        self._busy += 1
        self._own = own = asyncio.current_task()
        before = own.cancelling() if own is not None else 0
        try:
            await self._serve()
        except BaseException:
            # The error of another task, unless somebody else cancelled this one too.
            if not self._interrupted or own is None or own.uncancel() > before:
                raise
        else:
            # The store answered although it was cancelled.
            if self._interrupted and own is not None:
                own.uncancel()
        finally:
            self._own = None
            self._busy -= 1
        self.check()

    async def _serve(self) -> None:
        """Works, calling others where there is more than this one can do."""
        todo = self.todo
        while todo:
            if time.perf_counter() - self._turned > TURN:
                # Others first; again, if those of this crew who come before then take as long.
                if not self._noting:
                    self._noting = True
                    asyncio.get_running_loop().call_soon(self._note_turn)
                await asyncio.sleep(0)
                continue
            work = todo.popleft()
            if todo and self.has_room:
                self.call()
            await self._work(work)

    def _note_turn(self) -> None:
        self._turned = time.perf_counter()
        self._noting = False

    def call(self) -> None:
        """Makes tasks for what there is to do."""
        for _ in range(min(len(self.todo) - self._starting, self._most - self._busy)):
            self._busy += 1
            self._starting += 1
            task = asyncio.ensure_future(self._guarded())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _guarded(self) -> None:
        self._starting -= 1
        try:
            await self._serve()
        except BaseException as error:
            if self.error is None:
                self.error = error
            self._stop()
        finally:
            self._busy -= 1

    def _stop(self) -> None:
        self.todo.clear()
        if self._cancels:
            for task in self.tasks:
                task.cancel()
            if self._own is not None and self.error is not None and not self._interrupted:
                self._interrupted = True
                self._own.cancel()

    def check(self) -> None:
        """Raises the first error of a task."""
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        """Starts nothing more and waits for what is under way, or cancels it."""
        self._stop()
        await _all_of(self.tasks)


class _Signal:
    """Tells any number of tasks that a unit of `session` has ended."""

    __slots__ = ("_future", "_session")

    def __init__(self, session: Any) -> None:
        self._session = session
        self._future: asyncio.Future[None] | None = None

    def arm(self) -> asyncio.Future[None] | None:
        """A future that is done once a unit has ended; None if none is queued or runs."""
        if self._future is None or self._future.done():
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            if not self._session.wake(loop, release, future, True):
                return None
            self._future = future
        return self._future

    async def wait(self) -> None:
        """Waits until a unit has ended; not at all if none runs."""
        future = self.arm()
        if future is not None:
            await asyncio.shield(future)


async def read(
    session: _internal.RemoteRead,
    store: Store,
    prototype: BufferPrototype,
    configuration: Configuration,
) -> Any:
    """Gets what `session` asks for, feeds it, and returns its results."""
    requests = session.requests()
    most = _concurrency()
    near = (
        _near.near(store, prototype)
        if all(request[4] <= _near.LARGEST for request in requests)
        else None
    )
    if near is not None and configuration.requests_maximum >= 2 * _near.THREADS:
        return await _near.read(session, near, requests, most)
    flying = 0
    landed = asyncio.Event()
    signal = _Signal(session)
    limit = configuration.requests_maximum

    async def get(request: Request) -> None:
        nonlocal flying
        number, key, start, end, size = request
        while (held := flying + session.backlog()) and held + size > BYTES_IN_FLIGHT:
            if session.is_stopped():
                break
            if flying:
                landed.clear()
                await landed.wait()
            else:
                await signal.wait()
        if session.is_stopped():
            crew.todo.clear()
            return
        flying += size
        try:
            with asked_for(key):
                buffer = await _gate.gate.ask(
                    limit,
                    lambda: store.get(
                        key, prototype=prototype, byte_range=_near.byte_range(start, end)
                    ),
                )
        finally:
            flying -= size
            landed.set()
        if crew.error is None:
            crew.todo.extend(session.feed(number, buffer, False))

    crew = _Crew(get, most, cancels=True)
    crew.todo.extend(requests)
    try:
        await crew.serve()
        while crew.tasks:
            await asyncio.wait(crew.tasks)
            if crew.todo and crew.error is None:
                await crew.serve()
        crew.check()
    except BaseException:
        session.stop()
        await crew.close()
        await ended(session)
        raise
    await ended(session)
    return session.result()


async def write(
    session: _internal.RemoteWrite,
    store: Store,
    prototype: BufferPrototype,
    configuration: Configuration,
) -> None:
    """Gets what `session` merges with, and stores what it encodes as each chunk is ready."""
    limit = configuration.requests_maximum
    most = _concurrency()
    signal = _Signal(session)
    chunks = collections.deque(session.chunks())
    near = (
        _near.near(store, prototype) if all(chunk[3] <= _near.LARGEST for chunk in chunks) else None
    )
    if near is not None and limit >= 2 * _near.THREADS:
        await _near.write(session, near, list(chunks), most)
        return
    sizes: dict[int, int] = {}
    held = 0

    async def step(job: tuple[Any, ...]) -> None:
        """Fetches one chunk's stored bytes, or stores one that is ready."""
        nonlocal held
        number, key, *encoded = job

        async def ask() -> Any:
            # After an error nothing is started, by whoever waited here or was busy meanwhile.
            if cancelled or crew.error is not None or session.is_stopped():
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
            found = await _gate.gate.ask(limit, ask)
        if cancelled or crew.error is not None or session.is_stopped():
            return
        if encoded:
            held -= sizes.pop(number)
        else:
            session.feed(number, found, False)
        admit()

    def admit() -> None:
        """Starts as many chunks as may be held at once, and hands on what is encoded."""
        nonlocal held
        end = time.perf_counter() + TURN
        while chunks and (not held or held + chunks[0][3] <= BYTES_IN_FLIGHT):
            if held and time.perf_counter() > end:
                break
            number, key, needs_old, size = chunks.popleft()
            held += size
            sizes[number] = size
            if needs_old:
                crew.todo.append((number, key))
            else:
                session.feed(number, None, False)
        crew.todo.extend(session.take())

    crew = _Crew(step, most, cancels=False)
    cancelled = False
    try:
        while crew.error is None and not session.is_stopped():
            admit()
            crew.call()
            if crew.tasks:
                waiters: set[asyncio.Future[None]] = set(crew.tasks)
                if crew.has_room and (future := signal.arm()) is not None:
                    waiters.add(future)
                await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
            elif not session.is_idle():
                await signal.wait()
            else:
                # A unit may have ended since they were taken.
                crew.todo.extend(session.take())
                if not crew.todo and not chunks:
                    break
        await crew.close()
        crew.check()
    except BaseException:
        cancelled = True
        session.stop()
        await crew.close()
        await ended(session)
        raise
    await ended(session)
    session.result()


async def _all_of(tasks: set[asyncio.Task[None]]) -> None:
    """Waits for all of `tasks`; if this one is cancelled, still for all of them, and is cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while tasks:
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
