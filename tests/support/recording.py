"""A store that is awaited, notes what it is asked for, and can be told to wait or to fail. Tests assert on what it noted."""

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
    """Requests that wait together: all that came within `seconds` of the first one go on at once."""

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
    """A subclass with its own `get`, `set` and `delete`, so that it is awaited. Metadata is not noted."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.lock = threading.Lock()
        self.gets: list[tuple[str, Any]] = []
        self.sets: list[str] = []
        self.deletes: list[str] = []
        self.ended: list[tuple[str, str]] = []
        self.flying = 0
        self.most = 0
        self.before: Callable[[str, str, Any], Awaitable[None]] | None = None
        self.answer: Callable[[str, Any, Any], Any] | None = None

    def forget(self) -> None:
        """Notes from now on."""
        for noted in (self.gets, self.sets, self.deletes, self.ended):
            noted.clear()
        self.most = 0

    async def _noted(self, what: str, key: str, byte_range: Any, work: Callable[[], Any]) -> Any:
        if key.endswith(METADATA):
            return await work()
        with self.lock:
            self.flying += 1
            self.most = max(self.most, self.flying)
        try:
            if self.before is not None:
                await self.before(what, key, byte_range)
            found = await work()
        finally:
            with self.lock:
                self.flying -= 1
        self.ended.append((what, key))
        return found

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        if not key.endswith(METADATA):
            self.gets.append((key, byte_range))
        get = super().get
        found = await self._noted(
            "get", key, byte_range, lambda: get(key, prototype, byte_range=byte_range)
        )
        if self.answer is not None and not key.endswith(METADATA):
            found = self.answer(key, byte_range, found)
        return found

    async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
        if not key.endswith(METADATA):
            self.sets.append(key)
        put = super().set
        await self._noted("set", key, None, lambda: put(key, value))

    async def delete(self, key: str) -> None:
        if not key.endswith(METADATA):
            self.deletes.append(key)
        remove = super().delete
        await self._noted("delete", key, None, lambda: remove(key))

    @property
    def ranges(self) -> list[Any]:
        """What each get asked for: None for a whole object, "suffix", or (start, end)."""
        return [plain(byte_range) for _, byte_range in self.gets]


def plain(byte_range: Any) -> Any:
    """A byte request as something to compare."""
    if isinstance(byte_range, RangeByteRequest):
        return (byte_range.start, byte_range.end)
    return "suffix" if isinstance(byte_range, SuffixByteRequest) else byte_range
