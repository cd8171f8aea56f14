"""Which stores the engine reaches by itself, decided by exact class: a subclass with its own `get` is never bypassed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore, MemoryStore

from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from zarrs import _internal
    from zarrs._config import Configuration


class NativeStores:
    """Native handles of the stores that one pipeline meets, made at first use."""

    __slots__ = ("_local",)

    def __init__(self) -> None:
        self._local: tuple[Any, Configuration, _internal.LocalStore] | None = None

    def handle(self, store: Store, configuration: Configuration) -> Any:
        """What the engine takes for `store`: a directory, or the dictionary of a memory store.

        Raises
        ------
        UnsupportedError
            For any other store.
        """
        kind = type(store)
        if kind is LocalStore:
            return self._directory(store, configuration)
        if kind is MemoryStore:
            objects = store._store_dict  # type: ignore[attr-defined]
            if type(objects) is not dict:
                raise UnsupportedError(
                    "store MemoryStore", "its objects are kept in something other than a plain dict"
                )
            return objects
        raise UnsupportedError(f"store {kind.__module__}.{kind.__qualname__}", refusal(kind))

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


def tell_refused_direct_io(handle: Any) -> None:
    """Warns, once in this process, that direct I/O was asked for and cannot be had."""
    global _refusal_told
    if _refusal_told or isinstance(handle, dict) or not handle.direct_io_refused():
        return
    _refusal_told = True
    warnings.warn(
        "`codec_pipeline.direct_io` is True, but the file system refuses direct I/O; reads are buffered.",
        UserWarning,
        stacklevel=3,
    )


def refusal(kind: type) -> str:
    """Why stores of class `kind` are not native."""
    if issubclass(kind, LocalStore | MemoryStore):
        return "a subclass of a native store may read and write in its own way"
    return "it is neither a LocalStore nor a MemoryStore"
