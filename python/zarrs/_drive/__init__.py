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

__all__ = ["ended", "read", "write"]

# Larger objects are awaited: then the wait costs little, and the pool shares out the decoding.
LARGEST_CALLED = 4 << 20


async def read(
    call: _internal.Call,
    route: Route,
    store: Store,
    prototype: BufferPrototype,
    configuration: Configuration,
) -> Any:
    """Fetches what `call` asks for until it has ended, and returns its results."""
    requests = call.requests()
    if requests:
        if route.called is not None and _are_small(requests):
            await called.read(call, route.called, requests)
        else:
            await awaited.read(call, store, prototype, requests, configuration.requests_maximum)
    await ended(call)
    return call.result()


async def write(
    call: _internal.Call,
    route: Route,
    store: Store,
    prototype: BufferPrototype,
    configuration: Configuration,
) -> None:
    """Fetches what `call` merges with, and stores what it encodes, until it has ended."""
    requests = call.requests()
    if requests:
        if route.called is not None and _are_small(requests):
            await called.write(call, route.called, requests)
        else:
            await awaited.write(call, store, prototype, requests, configuration.requests_maximum)
    await ended(call)
    call.result()


def _are_small(requests: list[_internal.Request]) -> bool:
    return all(request.size <= LARGEST_CALLED for request in requests)
