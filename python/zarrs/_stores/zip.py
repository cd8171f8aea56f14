"""The archive of a `zarr.storage.ZipStore` as the engine reads it: which stores it takes, and one handle for each open archive.

Entries are read in Rust; every other use of the store stays with zarr.
"""

from __future__ import annotations

import os
import weakref
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from zipfile import ZipFile

    from zarr.storage import ZipStore

    from zarrs import _internal

# Handles, or why there is none, by zarr's own archive object: a store that is closed and used again has a new one, and
# pickles and copies of a store have none.
_known: weakref.WeakKeyDictionary[ZipFile, _internal.ZipStore | str] = weakref.WeakKeyDictionary()


def refusal(store: ZipStore) -> str | None:
    """Why `store` is left to Python, as far as that is known without opening its archive."""
    if os.name != "posix":
        # Elsewhere a read at an offset moves the position that Python's file object shares.
        return "archives are read natively on POSIX systems only"
    # Writable ones are changed behind a table of entries; a file object has methods of its own.
    if store.path is None or store._zmode != "r" or not store.read_only:
        return "the archive was not opened read-only from a path"
    if not store._is_open:
        return None
    known = _known.get(store._zf)
    return known if isinstance(known, str) else None


def archive(store: ZipStore) -> _internal.ZipStore | None:
    """The handle of the archive that `store` has open, which is opened if it is not, as zarr does at first use.

    None if Python has to read it.
    """
    if refusal(store) is not None:
        return None
    # Older releases make the lock when they open the archive.
    with getattr(store, "_lock", None) or nullcontext():
        if not store._is_open:
            store._sync_open()
        opened = store._zf
        known = _known.get(opened)
        if known is None:
            known = _known[opened] = _handle(opened, str(store.path))
    return None if isinstance(known, str) else known


def _handle(opened: Any, path: str) -> _internal.ZipStore | str:
    from zarrs import _internal

    # A handle on the very file that zarr has open: what is at the path may have been replaced.
    descriptor = opened.fp.fileno() if opened.fp is not None else -1
    try:
        return _internal.ZipStore(descriptor, path, opened.start_dir, len(opened.NameToInfo))
    except UnsupportedError as error:
        return error.reason
