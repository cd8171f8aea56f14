"""Which stores the engine reaches by itself, decided by exact class: a subclass with its own `get` is never bypassed."""

from __future__ import annotations

import os
import re
import warnings
from typing import TYPE_CHECKING, Any

import zarr.storage
from zarr.storage import LocalStore, MemoryStore, ObjectStore, WrapperStore, ZipStore

from zarrs import _zip

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from zarrs import _internal
    from zarrs._config import Configuration

# Since zarr 3.2.
_ManagedMemoryStore = getattr(zarr.storage, "ManagedMemoryStore", None)


# Keys that obstore takes for names of files as they are; others it changes, to what is its own affair.
_SAME_NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)


def _obstore_root(inner: Any) -> str | None:
    """Where obstore's own `LocalStore` keeps its objects."""
    kind = type(inner)
    if os.name != "posix" or (kind.__module__, kind.__name__) != ("obstore.store", "LocalStore"):
        return None
    return None if inner.prefix is None else str(inner.prefix)


def unwrapped(store: Store) -> Store:
    """`store` without plain wrappers around it, which hand every call on as it is."""
    while type(store) is WrapperStore:
        store = store._store
    return store


class asked_for:
    """Notes in an error of a store's for which object it was asked; its class and text stay."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            error.add_note(f"The store was asked for the key {self._key!r}.")


class NativeStores:
    """Native handles of the stores that one pipeline meets, made at first use."""

    __slots__ = ("_borrowed", "_local")

    def __init__(self) -> None:
        self._local: tuple[Any, Configuration, _internal.LocalStore] | None = None
        self._borrowed: tuple[Any, Configuration, _internal.LocalStore | None] | None = None

    def handle(self, store: Store, configuration: Configuration) -> Any:
        """What the engine takes for `store`: a directory, an archive, the dictionary of a memory store, or one with a key prefix.

        None for any other store: Python awaits it, the engine decodes.
        """
        store = unwrapped(store)
        kind = type(store)
        if kind is LocalStore:
            return self._directory(store, configuration)
        if kind is ZipStore:
            return _zip.archive(store)  # type: ignore[arg-type]
        if kind is MemoryStore:
            objects = store._store_dict  # type: ignore[attr-defined]
            return objects if type(objects) is dict else None
        if kind is _ManagedMemoryStore:
            return (store._store_dict, store.path)  # type: ignore[attr-defined]
        return None

    def borrowed(self, store: Any, path: str, configuration: Configuration) -> Any:
        """A directory that another library's store keeps its objects in, to be read from; None if there is none.

        What cannot be read there is the library's to explain: the read is repeated through the store. `path` is the key of
        any chunk of the array.
        """
        store = unwrapped(store)
        if type(store) is not ObjectStore or _SAME_NAME.fullmatch(path) is None:
            return None
        inner = store.store
        known = self._borrowed
        if known is not None and known[0] is inner and known[1] is configuration:
            return known[2]
        handle = None
        root = _obstore_root(inner)
        if root is not None:
            from zarrs import _internal

            handle = _internal.LocalStore(
                root, configuration.direct_io, configuration.file_handle_cache_size
            )
        self._borrowed = (inner, configuration, handle)
        return handle

    def _directory(self, store: Any, configuration: Configuration) -> _internal.LocalStore:
        # `LocalStore.move` changes the root of a store that is in use.
        known = self._local
        if known is not None and known[0] is store.root and known[1] is configuration:
            return known[2]
        from zarrs import _internal

        handle = _internal.LocalStore(
            str(store.root), configuration.direct_io, configuration.file_handle_cache_size
        )
        self._local = (store.root, configuration, handle)
        return handle


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
