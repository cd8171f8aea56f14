"""Every form of selection, read and written, in 0 to 5 dimensions, in plain and sharded arrays.

NumPy says what a selection means; zarr's own pipeline writes what is read here, reads what is
written here, and says which keys a write leaves. Batches made by hand are test_batches.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.codecs import BytesCodec, ShardingCodec, ZstdCodec
from zarr.storage import LocalStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from zarr.abc.store import Store

ZARR = Version(zarr.__version__)

# No extent is a multiple of its chunk's, so every array has edge chunks and edge shards.
SHAPES = {0: (), 1: (23,), 2: (7, 9), 3: (7, 9, 5), 4: (5, 4, 3, 6), 5: (3, 4, 3, 2, 5)}
CHUNKS = {0: (), 1: (3,), 2: (3, 2), 3: (2, 3, 5), 4: (2, 3, 2, 2), 5: (2, 2, 1, 2, 2)}
LAYOUTS = ("plain", "zstd", "sharded", "nested")

# Known bugs of old releases of zarr, (layout, kind) → first release without it. There only NumPy is
# asked, not that release's own writer; zarrs must be right on every release.
KNOWN_BUGS = {
    # Inside a shard, ints keep their axis and values of two lists are not made flat: IndexError.
    ("sharded", "oindex"): "3.4",
    ("nested", "oindex"): "3.4",
    ("sharded", "getitem"): "3.2",
    ("nested", "getitem"): "3.2",
}
# "byte_range is not supported within shards": no part of a nested shard can be read by zarr's own.
NESTED_SHARDS_READABLE = Version("3.1.6") <= ZARR
# Older indexers turn unsigned lists into floats before any pipeline sees them.
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


def create(store: Store, layout: str, ndim: int) -> zarr.Array:
    return zarr.create_array(
        store, shape=SHAPES[ndim], dtype="int32", fill_value=-7, **layout_options(layout, ndim)
    )


def data_of(ndim: int) -> npt.NDArray[np.int32]:
    shape = SHAPES[ndim]
    return (np.arange(np.prod(shape, dtype=int), dtype="int32") * 3 + 1).reshape(shape)


@cache
def filled_by_zarr(layout: str, ndim: int) -> dict[str, bytes]:
    """Keys and bytes of an array that zarr's own pipeline has filled with ``data_of``."""
    own = "zarr.core.codec_pipeline.BatchedCodecPipeline"
    with zarr.config.set({"codec_pipeline.path": own, "codec_pipeline.strict": False}):
        store = MemoryStore()
        create(store, layout, ndim)[...] = data_of(ndim)
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


def fill(store: Store, content: dict[str, bytes]) -> None:
    if isinstance(store, LocalStore):
        for key, value in content.items():
            path = store.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
    else:
        buffer = zarr.core.buffer.default_buffer_prototype().buffer
        for key, value in content.items():
            store._store_dict[key] = buffer.from_bytes(value)


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
    """NumPy's index for the same elements, in the same order, with the same dropped axes.

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
    """What is indexed for this kind of selection: the array itself or one of its views."""
    if kind in ("basic", "getitem"):
        return array
    return getattr(array, {"oindex": "oindex", "block": "blocks"}.get(kind, "vindex"))


def chunk_number(key: str) -> int:
    """The sum of a chunk's coordinates; 0 for metadata."""
    return sum(int(part) for part in key.split("/")[1:])


def cases() -> list[Any]:
    return [
        pytest.param(layout, ndim, form, id=f"{layout}-{ndim}d-{kind}{position}")
        for layout in LAYOUTS
        for ndim in SHAPES
        for position, form in enumerate(forms(ndim))
        for kind in [form[0]]
        if layout == "plain" or (ndim == 3 if layout == "zstd" else ndim > 0)
    ]


@pytest.mark.parametrize(("layout", "ndim", "form"), cases())
def test_a_read_selects_what_numpy_selects(
    store: Store, layout: str, ndim: int, form: tuple[str, Any]
) -> None:
    kind, selection = form
    fill(store, filled_by_zarr(layout, ndim))
    array = zarr.open_array(store, mode="r")
    grid = array.shards or array.chunks
    expected = data_of(ndim)[numpy_index(kind, selection, grid, array.shape)]
    actual = selector(array, kind)[selection]
    assert np.shape(actual) == expected.shape
    assert np.asarray(actual).dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(("layout", "ndim", "form"), cases())
def test_a_write_assigns_what_numpy_assigns(
    store: Store,
    oracle: Callable[[], Any],
    chunks_in: Callable[[Store], dict[str, bytes]],
    layout: str,
    ndim: int,
    form: tuple[str, Any],
) -> None:
    if layout == "nested" and not NESTED_SHARDS_READABLE:
        pytest.skip("this zarr's own pipeline cannot read the nested shards that were written")
    kind, selection = form
    before = filled_by_zarr(layout, ndim)
    # Every other chunk is there, so that a write meets both kinds.
    before = {key: value for key, value in before.items() if not chunk_number(key) % 2}
    with oracle():
        fill(store, before)
        expected = zarr.open_array(store, mode="r")[...]
    array = zarr.open_array(store, mode="r+")
    index = numpy_index(kind, selection, array.shards or array.chunks, array.shape)
    shape = expected[index].shape
    value = -1000 - np.arange(np.prod(shape, dtype=int), dtype="int32").reshape(shape)

    selector(array, kind)[selection] = value
    expected = np.asarray(expected)  # what a 0-d read gives is a scalar
    expected[index] = value

    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], expected)
        fixed_in = KNOWN_BUGS.get((layout, kind), "3.1")
        if ZARR < Version(fixed_in):
            return
        other = MemoryStore()
        fill(other, before)
        selector(zarr.open_array(other, mode="r+"), kind)[selection] = value
    if layout in ("plain", "sharded"):
        assert chunks_in(store) == chunks_in(other)
    else:
        assert chunks_in(store).keys() == chunks_in(other).keys()
