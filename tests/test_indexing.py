"""Every form of selection, read and written, in 0 to 5 dimensions, in plain and sharded arrays.

NumPy defines the meaning of a selection; zarr's own pipeline writes the arrays that are read, reads
those that are written, and defines which keys a write leaves. Batches built by hand are in test_batches.py.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.storage import LocalStore, MemoryStore

from support.selections import (
    LAYOUTS,
    SHAPES,
    data_of,
    forms,
    layout_options,
    numpy_index,
    selector,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from zarr.abc.store import Store

ZARR = Version(zarr.__version__)

# Known bugs of old releases of zarr, (layout, kind) → first release without the bug. Before it, NumPy
# is the only oracle; zarrs must be correct on every release.
KNOWN_BUGS = {
    # Inside a shard, ints keep their axis and values for two lists are not flattened: IndexError.
    ("sharded", "oindex"): "3.4",
    ("nested", "oindex"): "3.4",
    ("sharded", "getitem"): "3.2",
    ("nested", "getitem"): "3.2",
}
# "byte_range is not supported within shards": zarr's own pipeline cannot read a part of a nested shard.
NESTED_SHARDS_READABLE = Version("3.1.6") <= ZARR


def create(store: Store, layout: str, ndim: int) -> zarr.Array:
    return zarr.create_array(
        store, shape=SHAPES[ndim], dtype="int32", fill_value=-7, **layout_options(layout, ndim)
    )


@cache
def filled_by_zarr(layout: str, ndim: int) -> dict[str, bytes]:
    """Keys and bytes of an array that zarr's own pipeline filled with ``data_of``."""
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


def coordinate_sum(key: str) -> int:
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
    # Every other chunk is present, so that a write meets present and missing chunks.
    before = {key: value for key, value in before.items() if not coordinate_sum(key) % 2}
    with oracle():
        fill(store, before)
        expected = zarr.open_array(store, mode="r")[...]
    array = zarr.open_array(store, mode="r+")
    index = numpy_index(kind, selection, array.shards or array.chunks, array.shape)
    shape = expected[index].shape
    value = -1000 - np.arange(np.prod(shape, dtype=int), dtype="int32").reshape(shape)

    selector(array, kind)[selection] = value
    expected = np.asarray(expected)  # a 0-d read returns a scalar
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
