"""Which way an array's bytes take, decided by the exact class of its store: a subclass with its own `get` is never bypassed."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import zarr.storage
from zarr.storage import LocalStore, MemoryStore, ObjectStore, ZipStore

from zarrs._stores import called, zip
from zarrs._stores.called import is_obstore, unwrapped

if TYPE_CHECKING:
    from pathlib import Path

    from zarr.abc.store import Store
    from zarr.core.buffer import BufferPrototype

    from zarrs import _internal
    from zarrs._config import Configuration

    Handle = _internal.LocalStore | _internal.ZipStore | _internal.MemoryStore

# Since zarr 3.2.
_ManagedMemoryStore = getattr(zarr.storage, "ManagedMemoryStore", None)

# Keys that obstore takes as file names unchanged; it encodes others in a way of its own.
_SAME_NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)

# Below this many requests in flight in the process, no threads are used that would call stores without counting them.
_LEAST_REQUESTS_FOR_CALLS = 8


class Way(Enum):
    """How the objects of a store are reached; the value is what :func:`zarrs.explain` says."""

    FILES = "native files"
    ARCHIVE = "native zip"
    MEMORY = "native memory"
    CALLED = "called from threads"
    AWAITED = "awaited in Python"


@dataclass(frozen=True, eq=False)
class Route:
    """The way to the bytes of one store.

    Attributes
    ----------
    way : Way
        How they are reached.
    handle : handle of a native store, or None
        What Rust reaches them by.
    called : CalledStore or None
        The calls of a store in Python that answers at once.
    files_behind : handle of a directory, or None
        Where the store keeps its objects as files, from which they are read. A read that fails there is repeated by `way`,
        so that its error is the store's own.
    """

    way: Way
    handle: Handle | None = None
    called: called.CalledStore | None = None
    files_behind: _internal.LocalStore | None = None


class Routes:
    """The routes of one pipeline's stores; handles are made at first use and used again."""

    __slots__ = ("_archive", "_local", "_memory")

    def __init__(self) -> None:
        self._local: tuple[Any, Configuration, Route] | None = None
        self._memory: tuple[dict[str, Any], str, Route] | None = None
        self._archive: Route | None = None

    def find(
        self, store: Store, path: str, prototype: BufferPrototype, configuration: Configuration
    ) -> Route:
        """The route to `store`; `path` is the key of any chunk of the array."""
        store = unwrapped(store)
        kind = type(store)
        if kind is LocalStore:
            # `LocalStore.move` changes the root of a store that is in use.
            return self._files(store.root, configuration)  # type: ignore[attr-defined]
        if kind is MemoryStore:
            objects = store._store_dict  # type: ignore[attr-defined]
            if type(objects) is dict:
                return self._objects(objects, "")
        elif kind is ZipStore:
            handle = zip.archive(store)  # type: ignore[arg-type]
            if handle is not None:
                return self._entries(handle)
        elif kind is _ManagedMemoryStore:
            return self._objects(store._store_dict, store.path)  # type: ignore[attr-defined]
        calls = None
        if configuration.requests_maximum >= _LEAST_REQUESTS_FOR_CALLS:
            calls = called.adapter(store, prototype)
        way = Way.AWAITED if calls is None else Way.CALLED
        return Route(way, called=calls, files_behind=self._files_behind(store, path, configuration))

    def _files_behind(
        self, store: Any, path: str, configuration: Configuration
    ) -> _internal.LocalStore | None:
        if type(store) is not ObjectStore or not is_obstore(store.store, "LocalStore"):
            return None
        root = store.store.prefix
        if os.name != "posix" or root is None or _SAME_NAME.fullmatch(path) is None:
            return None
        return self._files(root, configuration).handle  # type: ignore[return-value]

    def _files(self, root: Path, configuration: Configuration) -> Route:
        known = self._local
        if (
            known is not None
            and (known[0] is root or known[0] == root)
            and known[1] is configuration
        ):
            return known[2]
        from zarrs import _internal

        handle = _internal.LocalStore(
            str(root), configuration.direct_io, configuration.file_handle_cache_size
        )
        route = Route(Way.FILES, handle)
        self._local = (root, configuration, route)
        return route

    def _objects(self, objects: dict[str, Any], prefix: str) -> Route:
        known = self._memory
        if known is not None and known[0] is objects and known[1] == prefix:
            return known[2]
        from zarrs import _internal

        route = Route(Way.MEMORY, _internal.MemoryStore(objects, prefix))
        self._memory = (objects, prefix, route)
        return route

    def _entries(self, handle: _internal.ZipStore) -> Route:
        known = self._archive
        if known is None or known.handle is not handle:
            known = self._archive = Route(Way.ARCHIVE, handle)
        return known


def describe(
    store: Store, path: str, prototype: BufferPrototype, configuration: Configuration
) -> str:
    """The route to `store` in words, without opening it."""
    plain = unwrapped(store)
    refusal = zip.refusal(plain) if type(plain) is ZipStore else None
    if type(plain) is ZipStore and refusal is None:
        return Way.ARCHIVE.value
    route = Routes().find(store, path, prototype, configuration)
    if route.handle is not None:
        return route.way.value
    words = f"{route.way.value} ({type(store).__module__}.{type(store).__qualname__})"
    if refusal is not None:
        return f"{words}: {refusal}"
    return words if route.files_behind is None else f"{words}, but reads are native files"


_refusal_told = False


def tell_refused_direct_io(handle: _internal.LocalStore) -> None:
    """Warns, once in this process, that direct I/O was asked for and cannot be had."""
    global _refusal_told
    if _refusal_told or not handle.direct_io_refused():
        return
    _refusal_told = True
    warnings.warn(
        "`codec_pipeline.direct_io` is True, but the file system refuses direct I/O; reads are buffered.",
        UserWarning,
        stacklevel=3,
    )
