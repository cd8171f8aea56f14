"""The bound on requests in flight in the whole process. Knows nothing of what is asked for."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import os
import threading
from typing import TYPE_CHECKING, Any

from zarrs._waiting import release

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Whether this is a request's own task, or one that it started.
_asking: contextvars.ContextVar[bool] = contextvars.ContextVar("zarrs_asking", default=False)


class Gate:
    """A bound on requests in flight in this process, whichever loops and threads they belong to."""

    __slots__ = ("_inside", "_lock", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._waiting: collections.deque[tuple[Any, asyncio.Future[None]]] = collections.deque()

    def try_enter(self, limit: int) -> bool:
        """Enters if fewer than `limit` are inside."""
        with self._lock:
            if self._inside >= limit:
                return False
            self._inside += 1
            return True

    async def enter(self, limit: int) -> None:
        """Enters, after waiting until fewer than `limit` are inside."""
        while not self.try_enter(limit):
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            entry = loop, future
            with self._lock:
                if self._inside < limit:
                    continue
                self._waiting.append(entry)
            try:
                await future
            except BaseException:
                with self._lock:
                    called = entry not in self._waiting
                    if not called:
                        self._waiting.remove(entry)
                if called:
                    # Whoever left called this one: the call goes on to the next.
                    self._call_next()
                raise

    def leave(self) -> None:
        """Lets the next one in."""
        with self._lock:
            self._inside -= 1
        self._call_next()

    def _call_next(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                loop, future = self._waiting.popleft()
            try:
                loop.call_soon_threadsafe(release, future)
            except RuntimeError:
                # That loop is closed, and whoever waited there is gone.
                continue
            return

    async def ask(self, limit: int, request: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to `request`, made once fewer than `limit` are inside.

        A store may read another array to answer. What it asks for meanwhile does not wait, since it would for itself.
        """
        if _asking.get():
            return await request()
        if not self.try_enter(limit):
            await self.enter(limit)
        token = _asking.set(True)
        try:
            return await request()
        finally:
            _asking.reset(token)
            self.leave()


gate = Gate()


def forget_parent() -> None:
    """For a forked child: its parent's requests are not its own."""
    global gate
    gate = Gate()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_parent)
