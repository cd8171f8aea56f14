"""Waiting on the event loop for what the pool still runs."""

from __future__ import annotations

import asyncio
from typing import Any


def release(future: asyncio.Future[None]) -> None:
    """Ends the wait for `future`; what the pool calls on the loop."""
    if not future.done():
        future.set_result(None)


async def ended(session: Any) -> None:
    """Waits until nothing of `session` runs any more. A cancelled task stops it, waits, and is cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while not session.is_idle():
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if not session.wake(loop, release, future, False):
            break
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError as error:
                cancelled = error
                session.stop()
    if cancelled is not None:
        raise cancelled
