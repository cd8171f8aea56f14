"""Stores in Python that answer at once: called from a few threads, since awaiting them costs more than they do.

Only classes whose synchronous calls are known to mean what their awaited ones mean, by exact type: obstore in memory and on
a local disk, fsspec's memory and local file systems, and a logged native store. Every other store is awaited.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.storage import (
    FsspecStore,
    LocalStore,
    LoggingStore,
    MemoryStore,
    ObjectStore,
    WrapperStore,
)

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import BufferPrototype


class CalledStore(Protocol):
    """The synchronous calls of a store: bytes ``start:end`` of a key as in :func:`byte_range`, set, delete."""

    def get(self, key: str, start: int | None, end: int | None) -> Any: ...
    def set(self, key: str, data: Any) -> None: ...
    def delete(self, key: str) -> None: ...


def is_obstore(inner: Any, *names: str) -> bool:
    """Whether `inner` is of exactly one of these classes of obstore."""
    kind = type(inner)
    return kind.__module__ == "obstore.store" and kind.__name__ in names


def unwrapped(store: Store) -> Store:
    """`store` without plain wrappers around it, which pass every call on unchanged."""
    while type(store) is WrapperStore:
        store = store._store
    return store


def byte_range(start: int | None, end: int | None) -> ByteRequest | None:
    """zarr's request for bytes ``start:end``; for the last ``-start`` ones if `end` is None; None for all."""
    if start is None:
        return None
    if end is None:
        return SuffixByteRequest(-start)
    return RangeByteRequest(start, end)


# What zarr's `ObjectStore` takes for a missing key.
_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class _Obstore:
    """The objects of a local obstore store, through its synchronous functions."""

    def __init__(self, store: Any) -> None:
        import obstore

        self._obstore = obstore
        self._store = store.store

    def get(self, key: str, start: int | None, end: int | None) -> Any:
        try:
            if start is None:
                data: Any = self._obstore.get(self._store, key).bytes()
            elif end is None:
                options: Any = {"range": {"suffix": -start}}
                data = self._obstore.get(self._store, key, options=options).bytes()
            else:
                data = self._obstore.get_range(self._store, key, start=start, end=end)
        except _MISSING:
            return None
        return np.frombuffer(data, dtype="B")

    def set(self, key: str, data: Any) -> None:
        self._obstore.put(self._store, key, data)

    def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._obstore.delete(self._store, key)


class _Fsspec:
    """The files of a synchronous file system that zarr's `FsspecStore` wraps."""

    def __init__(self, store: Any) -> None:
        self._files = store.fs.sync_fs
        self._root = store.path
        self._missing = store.allowed_exceptions

    def _path(self, key: str) -> str:
        root = self._root.rstrip("/")
        return (f"{root}/{key}" if root else key).rstrip("/")

    def get(self, key: str, start: int | None, end: int | None) -> Any:
        try:
            data = self._files.cat_file(self._path(key), start=start, end=end)
        except self._missing:
            return None
        return np.frombuffer(data, dtype="B")

    def set(self, key: str, data: Any) -> None:
        self._files.pipe_file(self._path(key), bytes(data))

    def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError, *self._missing):
            self._files.rm(self._path(key))


class _Synchronous:
    """A store with synchronous methods of its own."""

    def __init__(self, store: Any, prototype: BufferPrototype) -> None:
        self._store = store
        self._prototype = prototype

    def get(self, key: str, start: int | None, end: int | None) -> Any:
        return self._store.get_sync(
            key, prototype=self._prototype, byte_range=byte_range(start, end)
        )

    def set(self, key: str, data: Any) -> None:
        array = np.frombuffer(data, dtype="B")
        self._store.set_sync(key, self._prototype.buffer.from_array_like(array))

    def delete(self, key: str) -> None:
        self._store.delete_sync(key)


def adapter(store: Any, prototype: BufferPrototype) -> CalledStore | None:
    """How `store` is called; None for stores that have to be awaited."""
    store = unwrapped(store)
    kind = type(store)
    if kind is ObjectStore:
        if is_obstore(store.store, "LocalStore", "MemoryStore"):
            return _Obstore(store)
    elif kind is FsspecStore:
        wrapper = type(store.fs)
        if (wrapper.__module__, wrapper.__name__) == _WRAPPER and store.fs.semaphore is None:
            files = type(store.fs.sync_fs)
            if (files.__module__, files.__name__) in _FILES:
                return _Fsspec(store)
    elif (
        kind is LoggingStore
        # zarr's own pipeline calls it in the same way, from zarr 3.3 on.
        and hasattr(store, "get_sync")
        and type(unwrapped(store._store)) in (LocalStore, MemoryStore)
    ):
        return _Synchronous(store, prototype)
    return None


_WRAPPER = ("fsspec.implementations.asyn_wrapper", "AsyncFileSystemWrapper")
_FILES = {
    ("fsspec.implementations.memory", "MemoryFileSystem"),
    ("fsspec.implementations.local", "LocalFileSystem"),
}
