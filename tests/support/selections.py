"""Every form of selection with its NumPy equivalent, for arrays of 0 to 5 dimensions in each layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from packaging.version import Version
from zarr.codecs import BytesCodec, ShardingCodec, ZstdCodec

if TYPE_CHECKING:
    import numpy.typing as npt

ZARR = Version(zarr.__version__)

# No extent is a multiple of its chunk's, so every array has edge chunks and edge shards.
SHAPES = {0: (), 1: (23,), 2: (7, 9), 3: (7, 9, 5), 4: (5, 4, 3, 6), 5: (3, 4, 3, 2, 5)}
CHUNKS = {0: (), 1: (3,), 2: (3, 2), 3: (2, 3, 5), 4: (2, 3, 2, 2), 5: (2, 2, 1, 2, 2)}
LAYOUTS = ("plain", "zstd", "sharded", "nested")
# Older indexers convert unsigned lists to floats before they reach any pipeline.
UNSIGNED_LISTS = Version("3.4") <= ZARR


def layout_options(layout: str, ndim: int) -> dict[str, Any]:
    """The arguments of ``create_array`` that make one of LAYOUTS."""
    inner = CHUNKS[ndim]
    double = tuple(2 * extent for extent in inner)
    if layout == "plain":
        return {"chunks": inner, "compressors": None}
    if layout == "zstd":
        return {"chunks": inner, "compressors": ZstdCodec(level=1)}
    if layout == "sharded":
        return {"chunks": inner, "shards": double, "compressors": None}
    innermost = ShardingCodec(chunk_shape=inner, codecs=[BytesCodec(), ZstdCodec(level=1)])
    serializer = ShardingCodec(chunk_shape=double, codecs=[innermost])
    outer = tuple(2 * extent for extent in double)
    return {"chunks": outer, "serializer": serializer, "compressors": None}


def data_of(ndim: int) -> npt.NDArray[np.int32]:
    shape = SHAPES[ndim]
    return (np.arange(np.prod(shape, dtype=int), dtype="int32") * 3 + 1).reshape(shape)


def forms(ndim: int) -> list[tuple[str, Any]]:
    """(kind, selection) for each row of contract.md's table that the dimensions allow."""
    shape = SHAPES[ndim]
    full = (slice(None),) * ndim
    if ndim == 0:
        return [("basic", ()), ("basic", ...), ("getitem", ())]

    def with_axis(axis: int, selector: Any) -> tuple[Any, ...]:
        return (*full[:axis], selector, *full[axis + 1 :])

    last = ndim - 1
    evens = np.arange(shape[0]) % 2 == 0
    found: list[tuple[str, Any]] = [
        ("basic", ...),
        ("basic", full),
        ("basic", tuple(slice(1, None, 2) for _ in shape)),
        ("basic", tuple(slice(1, extent - 1) for extent in shape)),
        ("basic", tuple(slice(-2, None) for _ in shape)),
        ("basic", tuple(slice(0, None, extent) for extent in shape)),
        ("basic", tuple(extent // 2 for extent in shape)),
        ("basic", tuple(-1 for _ in shape)),
        ("basic", (slice(2, 2), ...)),
        ("basic", (np.int64(1), ..., slice(0, 2))[: 1 if ndim == 1 else 3]),
        ("getitem", [1, shape[0] - 1]),
        ("getitem", [shape[0] - 1, 0, 1, 0]),
        ("oindex", tuple(slice(0, extent, 2) for extent in shape)),
        # Without duplicates: inside a shard zarr sorts the points with an unstable sort.
        ("oindex", tuple([extent - 1, *range(min(2, extent - 1))] for extent in shape)),
        ("vindex", tuple([0, 1, extent - 1] for extent in shape)),
        ("vindex", tuple([extent - 1, 0, 1, 0, -1] for extent in shape)),
        ("vindex", tuple([1] for _ in shape)),
        ("vindex", tuple(np.array([[0, extent - 1], [1, 0]]) for extent in shape)),
        ("mask", data_of(ndim) % 5 == 0),
        ("mask", np.zeros(shape, bool)),
        ("mask", np.ones(shape, bool)),
        ("block", (0,) * ndim),
        ("block", (-1,) * ndim),
        ("block", (slice(0, 1), *([slice(None)] * last))),
    ]
    if UNSIGNED_LISTS:
        unsigned = (np.array([0, extent - 1], dtype="uint64") for extent in shape)
        found.append(("oindex", tuple(unsigned)))
    for axis, extent in enumerate(shape):
        found += [
            ("basic", with_axis(axis, 1)),
            ("basic", with_axis(axis, slice(1, None, 2))),
            ("oindex", with_axis(axis, [0, 1, extent - 1])),
            ("oindex", with_axis(axis, [extent - 1, 1, 0])),
            ("oindex", with_axis(axis, [extent - 1, 0, 1, 0, -1, extent - 1])),
            ("oindex", with_axis(axis, np.arange(extent) % 2 == 1)),
            ("oindex", with_axis(axis, np.zeros(extent, bool))),
        ]
    if ndim == 1:
        found.append(("getitem", evens))
    else:
        others = (slice(1, None, 2),) * (ndim - 2)
        found += [
            ("oindex", ([0, 1], *others, [1, shape[last] - 1])),
            ("oindex", ([shape[0] - 1, 0], *others, [1, 0, 1])),
            ("oindex", (evens, *others, [1, 0])),
            ("oindex", (1, *others, [1, 0, 0])),
            ("oindex", ([2, 0], *others, -1)),
            ("oindex", (evens, *others, 1)),
            ("getitem", tuple([0, 2 % extent, extent - 1] for extent in shape)),
            ("getitem", ([2, 0, 1, 2], *full[1:-1], slice(0, 2))),
            ("vindex", (np.array([[2], [0]]), *(np.array([[1, 0]]) for _ in shape[1:]))),
        ]
    if ndim >= 3:
        found += [
            ("oindex", (1, [1, 0], *full[3:], slice(1, None, 2))),
            ("oindex", ([1, 0], 1, *full[3:], slice(1, None, 2))),
            ("oindex", (slice(1, None, 2), *full[3:], 1, [1, 0])),
            ("oindex", (1, *(1 for _ in shape[2:]), [1, 0])),
        ]
    return found


def numpy_index(kind: str, selection: Any, grid: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The NumPy index of the same elements, in the same order, dropping the same axes.

    An orthogonal selection becomes one index array per axis, without the axes of its ints.
    """
    if kind == "block":
        bounds = [
            range(0, extent + chunk, chunk) for extent, chunk in zip(shape, grid, strict=True)
        ]
        return tuple(
            slice(axis[pick][0], axis[pick][-1] + step)
            if isinstance(pick, slice)
            else slice(axis[:-1][pick], axis[:-1][pick] + step)
            for axis, pick, step in zip(bounds, selection, grid, strict=True)
        )
    if kind == "oindex":
        lists = [
            np.arange(extent)[np.asarray(axis, dtype=int) if isinstance(axis, list) else axis]
            for axis, extent in zip(selection, shape, strict=True)
        ]
        mesh = iter(np.ix_(*(axis for axis in lists if np.ndim(axis) == 1)))
        return tuple(next(mesh) if np.ndim(axis) == 1 else axis for axis in lists)
    return selection


def selector(array: zarr.Array, kind: str) -> Any:
    """The object to index for this kind of selection: the array or one of its indexers."""
    if kind in ("basic", "getitem"):
        return array
    return getattr(array, {"oindex": "oindex", "block": "blocks"}.get(kind, "vindex"))
