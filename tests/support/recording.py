"""An awaited store that records every request and can be told to delay, alter or fail it. Tests assert on the record."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.storage import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


class Round:
    """Requests that wait for each other: all that arrive within `seconds` of the first are released together."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sizes: list[int] = []
        self._open: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        if self._open is None:
            loop = asyncio.get_running_loop()
            self._open = loop.create_future()
            self.sizes.append(0)
            loop.call_later(self.seconds, self._end, self._open)
        self.sizes[-1] += 1
        await asyncio.shield(self._open)

    def _end(self, future: asyncio.Future[None]) -> None:
        self._open = None
        future.set_result(None)


class Recorder(MemoryStore):
    """A subclass that overrides `get`, `set` and `delete`, and is therefore awaited. Requests for metadata are not recorded."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.lock = threading.Lock()
        self.gets: list[tuple[str, Any]] = []
        self.sets: list[str] = []
        self.deletes: list[str] = []
        self.ended: list[tuple[str, str]] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.before: Callable[[str, str, Any], Awaitable[None]] | None = None
        self.answer: Callable[[str, Any, Any], Any] | None = None

    def forget(self) -> None:
        """Clears the record."""
        for record in (self.gets, self.sets, self.deletes, self.ended):
            record.clear()
        self.max_in_flight = 0

    async def _record(self, what: str, key: str, byte_range: Any, work: Callable[[], Any]) -> Any:
        if key.endswith(METADATA):
            return await work()
        with self.lock:
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            if self.before is not None:
                await self.before(what, key, byte_range)
            found = await work()
        finally:
            with self.lock:
                self.in_flight -= 1
        self.ended.append((what, key))
        return found

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        if not key.endswith(METADATA):
            self.gets.append((key, byte_range))
        get = super().get
        found = await self._record(
            "get", key, byte_range, lambda: get(key, prototype, byte_range=byte_range)
        )
        if self.answer is not None and not key.endswith(METADATA):
            found = self.answer(key, byte_range, found)
        return found

    async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
        if not key.endswith(METADATA):
            self.sets.append(key)
        put = super().set
        await self._record("set", key, None, lambda: put(key, value))

    async def delete(self, key: str) -> None:
        if not key.endswith(METADATA):
            self.deletes.append(key)
        remove = super().delete
        await self._record("delete", key, None, lambda: remove(key))

    @property
    def ranges(self) -> list[Any]:
        """What each get requested: None for a whole object, "suffix", or (start, end)."""
        return [plain(byte_range) for _, byte_range in self.gets]


def plain(byte_range: Any) -> Any:
    """A byte request in a form that compares equal."""
    if isinstance(byte_range, RangeByteRequest):
        return (byte_range.start, byte_range.end)
    return "suffix" if isinstance(byte_range, SuffixByteRequest) else byte_range
