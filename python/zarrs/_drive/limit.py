"""The bound on requests in flight in the whole process (`codec_pipeline.requests_maximum`)."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import os
import threading
from typing import TYPE_CHECKING, Any

from zarrs._drive.wait import release

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Whether this is the task of a request, or one that such a task started.
_asking: contextvars.ContextVar[bool] = contextvars.ContextVar("zarrs_asking", default=False)


class RequestLimit:
    """A bound on requests in flight in this process, on all loops and threads together."""

    __slots__ = ("_in_flight", "_lock", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self._waiting: collections.deque[tuple[Any, asyncio.Future[None]]] = collections.deque()

    def try_start(self, limit: int) -> bool:
        """Starts a request if fewer than `limit` are in flight."""
        with self._lock:
            if self._in_flight >= limit:
                return False
            self._in_flight += 1
            return True

    async def start(self, limit: int) -> None:
        """Starts a request, after waiting until fewer than `limit` are in flight."""
        while not self.try_start(limit):
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            entry = loop, future
            with self._lock:
                if self._in_flight < limit:
                    continue
                self._waiting.append(entry)
            try:
                await future
            except BaseException:
                with self._lock:
                    woken = entry not in self._waiting
                    if not woken:
                        self._waiting.remove(entry)
                if woken:
                    # The request that ended has woken this one, which does not start: the next one may.
                    self._wake_next()
                raise

    def end(self) -> None:
        """Ends a request, and lets the next one start."""
        with self._lock:
            self._in_flight -= 1
        self._wake_next()

    def _wake_next(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                loop, future = self._waiting.popleft()
            try:
                loop.call_soon_threadsafe(release, future)
            except RuntimeError:
                # That loop is closed, and with it the task that waited there.
                continue
            return

    async def ask(self, limit: int, request: Callable[[], Awaitable[Any]]) -> Any:
        """Awaits `request`, once fewer than `limit` are in flight, and returns its answer.

        A store may read another array to answer. Requests of that read do not wait, or they would wait for themselves.
        """
        if _asking.get():
            return await request()
        if not self.try_start(limit):
            await self.start(limit)
        token = _asking.set(True)
        try:
            return await request()
        finally:
            _asking.reset(token)
            self.end()


requests = RequestLimit()


def forget_parent() -> None:
    """In a forked child: the parent's requests are not the child's."""
    global requests
    requests = RequestLimit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_parent)
