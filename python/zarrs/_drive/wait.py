"""Waiting on the event loop for units that the pool still runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zarrs import _internal


def release(future: asyncio.Future[None]) -> None:
    """Ends the wait for `future`; the pool has the event loop call this."""
    if not future.done():
        future.set_result(None)


async def ended(call: _internal.Call) -> None:
    """Waits until `call` has ended. A cancelled task cancels the call, waits for its running units, and is cancelled then."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    if not call.wake(loop, release, future):
        return
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
            call.cancel()
    if cancelled is not None:
        raise cancelled


class UnitSignal:
    """Tells any number of tasks that a unit of `call` has ended."""

    __slots__ = ("_call", "_future")

    def __init__(self, call: _internal.Call) -> None:
        self._call = call
        self._future: asyncio.Future[None] | None = None

    def arm(self) -> asyncio.Future[None] | None:
        """A future that is done once a unit has ended; None if no unit waits or runs."""
        if self._future is None or self._future.done():
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            if not self._call.wake(loop, release, future, at_unit=True):
                return None
            self._future = future
        return self._future

    async def wait(self) -> None:
        """Waits until a unit has ended; not at all if none waits or runs."""
        future = self.arm()
        if future is not None:
            await asyncio.shield(future)


class asked_for:
    """Adds a note with the key to an error that a store raises; its class and text stay."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            error.add_note(f"The store was asked for the key {self._key!r}.")
