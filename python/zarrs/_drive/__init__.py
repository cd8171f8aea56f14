"""Carrying a call to its end where Python has to take part: its event loop waits, and its store is called or awaited.

What is read or written is decided in Rust; see ``docs/architecture.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zarrs._drive import awaited, called
from zarrs._drive.wait import ended

if TYPE_CHECKING:
    from zarr.abc.store import Store
    from zarr.core.buffer import BufferPrototype

    from zarrs import _internal
    from zarrs._config import Configuration
    from zarrs._stores.routes import Route

__all__ = ["ended", "finish"]

# Larger objects are awaited: then the wait costs little, and the pool shares out the decoding.
LARGEST_CALLED = 4 << 20


async def finish(
    call: _internal.Call,
    route: Route,
    store: Store,
    prototype: BufferPrototype,
    configuration: Configuration,
    *,
    is_write: bool = False,
) -> Any:
    """Fetches what `call` asks for, stores what it encodes, until it has ended; returns its result."""
    requests = call.requests()
    if requests and route.called is not None and _are_small(requests):
        drive_called = called.write if is_write else called.read
        await drive_called(call, route.called, requests)
    elif requests:
        drive_awaited = awaited.write if is_write else awaited.read
        await drive_awaited(call, store, prototype, requests, configuration.requests_maximum)
    await ended(call)
    return call.result()


def _are_small(requests: list[_internal.Request]) -> bool:
    return all(request.size <= LARGEST_CALLED for request in requests)
