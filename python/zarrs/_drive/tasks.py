"""The tasks of one call on an event loop: how many, when each starts, and how they end. Knows no store."""

from __future__ import annotations

import asyncio
import collections
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Seconds after which the event loop gets a turn, where a store answers without waiting.
TURN = 2e-3


class Tasks:
    """The tasks of one call: each takes the next piece of work until none is left."""

    def __init__(self, do: Callable[[Any], Awaitable[None]], most: int, *, cancels: bool) -> None:
        self.todo: collections.deque[Any] = collections.deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.error: BaseException | None = None
        self._do = do
        self._cancels = cancels
        self._most = most
        # When the loop last had a turn that is known of, and whether the next one will be noted.
        self._turned = time.perf_counter()
        self._noting = False
        # Tasks that work or are about to, and how many of them have not had their first turn yet.
        self._busy = 0
        self._starting = 0
        # The caller's task while it works, and whether it was cancelled from here.
        self._own: asyncio.Task[Any] | None = None
        self._interrupted = False

    @property
    def has_room(self) -> bool:
        """Whether one more piece of work could be under way."""
        return self._busy < self._most

    async def work(self) -> None:
        """Works in the caller's own task, until nothing is left to take."""
        self._busy += 1
        self._own = own = asyncio.current_task()
        before = own.cancelling() if own is not None else 0
        try:
            await self._work_on()
        except BaseException:
            # The error of another task, unless this one was also cancelled from outside.
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

    async def _work_on(self) -> None:
        """Takes one piece after another, and starts further tasks while there is more to do."""
        todo = self.todo
        while todo:
            if time.perf_counter() - self._turned > TURN:
                # Other work of the loop first; and again, if tasks of this call that run before it take as long.
                if not self._noting:
                    self._noting = True
                    asyncio.get_running_loop().call_soon(self._note_turn)
                await asyncio.sleep(0)
                continue
            piece = todo.popleft()
            if todo and self.has_room:
                self.start()
            await self._do(piece)

    def _note_turn(self) -> None:
        self._turned = time.perf_counter()
        self._noting = False

    def start(self) -> None:
        """Starts a task for each piece of work that waits, as far as there is room."""
        for _ in range(min(len(self.todo) - self._starting, self._most - self._busy)):
            self._busy += 1
            self._starting += 1
            task = asyncio.ensure_future(self._guarded())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _guarded(self) -> None:
        self._starting -= 1
        try:
            await self._work_on()
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
        await _all_ended(self.tasks)


async def _all_ended(tasks: set[asyncio.Task[None]]) -> None:
    """Waits for all of `tasks`; if this one is cancelled, still for all of them, and is cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while tasks:
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
