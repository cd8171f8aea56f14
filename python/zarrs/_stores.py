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
    from pathlib import Path

    from zarr.abc.store import Store

    from zarrs import _internal
    from zarrs._config import Configuration

# Since zarr 3.2.
_ManagedMemoryStore = getattr(zarr.storage, "ManagedMemoryStore", None)


# Keys that obstore takes for names of files as they are; others it changes, to what is its own affair.
_SAME_NAME = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)


def is_obstore(inner: Any, *names: str) -> bool:
    """Whether `inner` is of exactly one of these classes of obstore's."""
    kind = type(inner)
    return kind.__module__ == "obstore.store" and kind.__name__ in names


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

    __slots__ = ("_local",)

    def __init__(self) -> None:
        self._local: tuple[Any, Configuration, _internal.LocalStore] | None = None

    def handle(self, store: Store, configuration: Configuration) -> Any:
        """What the engine takes for `store`: a directory, an archive, the dictionary of a memory store, or one with a key prefix.

        None for any other store: Python awaits it, the engine decodes.
        """
        store = unwrapped(store)
        kind = type(store)
        if kind is LocalStore:
            # `LocalStore.move` changes the root of a store that is in use.
            return self._directory(store.root, configuration)  # type: ignore[attr-defined]
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
        if type(store) is not ObjectStore or not is_obstore(store.store, "LocalStore"):
            return None
        root = store.store.prefix
        if os.name != "posix" or root is None or _SAME_NAME.fullmatch(path) is None:
            return None
        return self._directory(root, configuration)

    def _directory(self, root: Path, configuration: Configuration) -> _internal.LocalStore:
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
        self._local = (root, configuration, handle)
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
