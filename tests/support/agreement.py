"""The claim checked on every kind of store: reads and writes agree with NumPy and with zarr's own pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

SHAPE = (40, 30)
DATA = np.random.default_rng(0).integers(1, 1000, SHAPE, "int32")
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"chunks": (16, 10)},
    "raw": {"chunks": (16, 10), "compressors": None},
    "sharded": {"chunks": (4, 5), "shards": (16, 10)},
    "v2": {"chunks": (16, 10), "zarr_format": 2},
}
MASK = np.random.default_rng(1).random(SHAPE) < 0.1
ROWS, COLUMNS = [33, 2, 2, 17, 0], [29, 4, 11, 4, 0]

SELECTIONS: dict[str, tuple[str, Any]] = {
    "whole": ("basic", (slice(None), slice(None))),
    "one chunk": ("basic", (slice(16, 32), slice(10, 20))),
    "part": ("basic", (slice(3, 37), slice(7, 23))),
    "steps": ("basic", (slice(1, 39, 3), slice(0, 30, 7))),
    "row": ("basic", (21,)),
    "element": ("basic", (39, 29)),
    "rows": ("oindex", (ROWS,)),
    "orthogonal": ("oindex", (ROWS, COLUMNS)),
    "points": ("vindex", (ROWS, COLUMNS)),
    "mask": ("vindex", MASK),
}
WRITTEN = ("one chunk", "part", "steps", "element", "orthogonal", "mask")


def read(array: zarr.Array[Any], name: str) -> Any:
    kind, selection = SELECTIONS[name]
    return array[selection] if kind == "basic" else getattr(array, kind)[selection]


def selected(data: np.ndarray[Any, Any], name: str) -> Any:
    """The same selection, made by NumPy."""
    selection = SELECTIONS[name][1]
    return data[np.ix_(*selection)] if name == "orthogonal" else data[selection]


def write(array: zarr.Array[Any], data: np.ndarray[Any, Any], name: str, value: Any) -> None:
    """Sets the selection in `array` and in `data`."""
    kind, selection = SELECTIONS[name]
    if kind == "basic":
        array[selection] = value
    else:
        getattr(array, kind)[selection] = value
    data[np.ix_(*selection) if name == "orthogonal" else selection] = value


def check_reads(array: zarr.Array[Any], data: np.ndarray[Any, Any] = DATA) -> None:
    """Every kind of selection returns what NumPy returns."""
    for name in SELECTIONS:
        np.testing.assert_array_equal(read(array, name), selected(data, name), err_msg=name)


def check_store(
    store: Any,
    layout: dict[str, Any],
    oracle: Callable[[], AbstractContextManager[None]],
    reopen: Callable[[], Any] | None = None,
    name: str = "array",
) -> None:
    """Writes and reads an array in `store`; zarr's own pipeline reads it back, and its writes are read too.

    `reopen` returns the store as another client sees it, where the store object itself would not do.
    """
    theirs = reopen or (lambda: store)
    array = zarr.create_array(store, name=name, shape=SHAPE, dtype="int32", fill_value=0, **layout)
    np.testing.assert_array_equal(array[3:20, 4:9], np.zeros((17, 5)))
    array[:] = DATA
    check_reads(array)
    data = DATA.copy()
    for position, written in enumerate(WRITTEN):
        write(array, data, written, -position)
    # Two chunks become empty.
    array[:16, :20] = data[:16, :20] = 0
    check_reads(array, data)
    with oracle():
        check_reads(zarr.open_array(theirs(), path=name), data)
        own = zarr.open_array(store, path=name)
        own[5:25, 3:28] = data[5:25, 3:28] = DATA[5:25, 3:28] + 1
    check_reads(array, data)
    check_reads(zarr.open_array(theirs(), path=name), data)
