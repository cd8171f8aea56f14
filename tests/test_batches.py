"""Batches built by hand and passed straight to the pipeline, as data loaders do.

The oracle is NumPy in item order: zarr's own pipelines lose updates when one key occurs twice.
Batches built by zarr's own indexers are in test_indexing.py.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from zarr.abc.store import Store

LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"chunks": (8, 6), "compressors": None},
    "zstd": {"chunks": (8, 6)},
    "sharded": {"chunks": (2, 3), "shards": (8, 6)},
    "sharded_raw": {"chunks": (2, 3), "shards": (8, 6), "compressors": None},
}
SHAPE, CHUNK = (32, 18), (8, 6)


class Batch:
    """Items for one array, NumPy's result for them, and the calls on the array's pipeline."""

    def __init__(self, array: zarr.Array, chunk: tuple[int, ...], **config: Any) -> None:
        self.array = array._async_array
        prototype = default_buffer_prototype()
        self.nd_buffer = prototype.nd_buffer
        metadata = self.array.metadata
        self.spec = ArraySpec(
            chunk, metadata.dtype, metadata.fill_value, ArrayConfig.from_dict(config), prototype
        )
        self.items: list[tuple[Any, ...]] = []
        self.places: list[tuple[tuple[int, ...], Any, Any]] = []

    def add(
        self, chunk: tuple[int, ...], chunk_selection: Any, out_selection: Any, whole: bool = False
    ) -> None:
        key = self.array.store_path / self.array.metadata.encode_chunk_key(chunk)
        self.items.append((key, self.spec, chunk_selection, out_selection, whole))
        self.places.append((chunk, chunk_selection, out_selection))

    def chunk_of(self, data: npt.NDArray[Any], chunk: tuple[int, ...]) -> npt.NDArray[Any]:
        return data[
            tuple(slice(i * n, (i + 1) * n) for i, n in zip(chunk, self.spec.shape, strict=True))
        ]

    def read(self, out: npt.NDArray[Any], drop_axes: tuple[int, ...] = ()) -> Any:
        buffer = self.nd_buffer.from_ndarray_like(out)
        return asyncio.run(self.array.codec_pipeline.read(self.items, buffer, drop_axes))

    def write(self, value: npt.NDArray[Any], drop_axes: tuple[int, ...] = ()) -> None:
        buffer = self.nd_buffer.from_ndarray_like(value)
        asyncio.run(self.array.codec_pipeline.write(self.items, buffer, drop_axes))

    def numpy_read(self, data: npt.NDArray[Any], out: npt.NDArray[Any]) -> npt.NDArray[Any]:
        for chunk, chunk_selection, out_selection in self.places:
            out[out_selection] = self.chunk_of(data, chunk)[chunk_selection]
        return out

    def numpy_write(self, data: npt.NDArray[Any], value: npt.NDArray[Any]) -> npt.NDArray[Any]:
        for chunk, chunk_selection, out_selection in self.places:
            self.chunk_of(data, chunk)[chunk_selection] = value[out_selection]
        return data


def data_of(shape: tuple[int, ...], dtype: str = "int32") -> npt.NDArray[Any]:
    return (np.arange(np.prod(shape)) + 1).astype(dtype).reshape(shape)


@pytest.fixture(params=LAYOUTS)
def array(request: pytest.FixtureRequest, store: Store, oracle: Callable[[], Any]) -> zarr.Array:
    """Filled by zarr's own pipeline, opened with zarrs."""
    with oracle():
        made = zarr.create_array(
            store, shape=SHAPE, dtype="int32", fill_value=-1, **LAYOUTS[request.param]
        )
        made[...] = data_of(SHAPE)
    return zarr.open_array(store, mode="r+")


def read_by(oracle: Callable[[], Any], array: zarr.Array) -> npt.NDArray[Any]:
    with oracle():
        return np.asarray(zarr.open_array(array.store, mode="r")[...])


def runs(batch: Batch, rng: np.random.Generator, count: int) -> int:
    """Adds ``count`` runs of rows from a handful of chunks; returns the rows that they need."""
    row = 0
    for _ in range(count):
        start = int(rng.integers(0, CHUNK[0]))
        stop = int(rng.integers(start, CHUNK[0])) + 1
        chunk = (int(rng.integers(0, 4)), int(rng.integers(0, 3)))
        batch.add(chunk, (slice(start, stop), slice(None)), (slice(row, row + stop - start),))
        row += stop - start
    return row


def test_ten_thousand_runs_on_a_few_chunks_are_read_as_numpy_reads_them(array: zarr.Array) -> None:
    batch = Batch(array, CHUNK)
    rows = runs(batch, np.random.default_rng(0), 10_000)
    out = np.zeros((rows, CHUNK[1]), "int32")
    results = batch.read(out)
    np.testing.assert_array_equal(out, batch.numpy_read(data_of(SHAPE), np.zeros_like(out)))
    assert [result["status"] for result in results] == ["present"] * 10_000


def test_ten_thousand_runs_on_a_few_chunks_are_written_in_item_order(
    array: zarr.Array, oracle: Callable[[], Any]
) -> None:
    batch = Batch(array, CHUNK)
    rows = runs(batch, np.random.default_rng(1), 10_000)
    value = -data_of((rows, CHUNK[1]))
    batch.write(value)
    np.testing.assert_array_equal(read_by(oracle, array), batch.numpy_write(data_of(SHAPE), value))


def test_repeated_keys_of_every_form_are_read_as_numpy_reads_them(array: zarr.Array) -> None:
    batch = Batch(array, CHUNK)
    rng = np.random.default_rng(2)
    for position in range(200):
        rows, columns = rng.integers(0, 8, 4), rng.integers(0, 6, 4)
        row, column = int(rows[0]), int(columns[0])
        line = slice(position * 8, position * 8 + 4)
        forms: list[tuple[Any, Any]] = [
            ((rows, columns), line),
            ((rows, columns), np.arange(line.start, line.stop)[::-1]),
            ((rows, column), (line,)),
            ((row, columns), (line,)),
            ((row, slice(1, 5)), (line,)),
            ((slice(0, 8, 2), column), (line,)),
        ]
        chunk_selection, out_selection = forms[position % 6]
        batch.add((position % 2, 0), chunk_selection, out_selection)
    out = np.zeros(200 * 8, "int32")
    batch.read(out)
    np.testing.assert_array_equal(out, batch.numpy_read(data_of(SHAPE), np.zeros_like(out)))


def test_a_later_item_of_the_same_key_wins_even_over_a_complete_one(
    array: zarr.Array, oracle: Callable[[], Any]
) -> None:
    batch = Batch(array, CHUNK)
    everything = (slice(0, 8), slice(0, 6))
    batch.add((0, 0), (slice(0, 2), slice(0, 6)), (slice(0, 2), slice(0, 6)))
    batch.add((0, 0), everything, (slice(8, 16), slice(0, 6)), whole=True)
    batch.add((0, 0), (slice(4, 5), slice(0, 6)), (slice(30, 31), slice(0, 6)))
    batch.add((1, 0), (slice(4, 5), slice(0, 6)), (slice(30, 31), slice(0, 6)))
    batch.add((1, 0), everything, (slice(16, 24), slice(0, 6)), whole=True)
    value = -data_of((32, 6))
    batch.write(value)
    np.testing.assert_array_equal(read_by(oracle, array), batch.numpy_write(data_of(SHAPE), value))


def test_duplicate_points_are_written_in_order(
    array: zarr.Array, oracle: Callable[[], Any]
) -> None:
    batch = Batch(array, CHUNK)
    rng = np.random.default_rng(3)
    rows, columns = rng.integers(0, 8, 500), rng.integers(0, 6, 500)
    batch.add((1, 1), (rows, columns), slice(0, 500))
    batch.add((1, 1), (rows[::-1], columns), rng.permutation(500))
    value = -data_of((500,))
    batch.write(value)
    np.testing.assert_array_equal(read_by(oracle, array), batch.numpy_write(data_of(SHAPE), value))


def test_numpy_integers_are_accepted_as_bounds_and_indices(
    array: zarr.Array, oracle: Callable[[], Any]
) -> None:
    batch = Batch(array, CHUNK)
    i8 = np.int64
    batch.add(
        (0, 1),
        (slice(i8(1), i8(7), i8(2)), slice(i8(0), i8(6))),
        (slice(i8(0), i8(3)), slice(None)),
    )
    batch.add((1, 0), (i8(3), slice(None)), (i8(3), slice(i8(0), i8(6))))
    batch.add((2, 2), (np.intp(5), slice(0, 6)), (4, slice(0, 6)))
    out = np.zeros((5, 6), "int32")
    batch.read(out)
    np.testing.assert_array_equal(out, batch.numpy_read(data_of(SHAPE), np.zeros_like(out)))
    value = -data_of((5, 6))
    batch.write(value)
    np.testing.assert_array_equal(read_by(oracle, array), batch.numpy_write(data_of(SHAPE), value))


def test_a_batch_returns_one_result_per_item_in_order(store: Store) -> None:
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", fill_value=9, **LAYOUTS["zstd"])
    array[0:8, 0:6] = 1
    array[8:16, 6:12] = 2
    batch = Batch(array, CHUNK)
    chunks = [(0, 0), (3, 2), (1, 1), (0, 0), (2, 0)]
    for row, chunk in enumerate(chunks):
        batch.add(chunk, (0, slice(None)), (row, slice(None)))
    out = np.zeros((5, 6), "int32")
    results = batch.read(out)
    statuses = ["present", "missing", "present", "present", "missing"]
    assert list(results) == [{"status": status} for status in statuses]
    assert isinstance(results, tuple)
    assert out[:, 0].tolist() == [1, 9, 2, 1, 9]


def test_an_item_that_selects_nothing_still_has_a_result(array: zarr.Array) -> None:
    batch = Batch(array, CHUNK)
    batch.add((0, 0), (slice(3, 3), slice(0, 6)), (slice(0, 0), slice(0, 6)))
    out = np.full((2, 6), 5, "int32")
    assert [result["status"] for result in batch.read(out)] == ["present"]
    assert (out == 5).all()


def test_an_empty_write_does_nothing_even_to_a_read_only_store(array: zarr.Array) -> None:
    read_only = zarr.open_array(array.store.with_read_only(True), mode="r")
    Batch(read_only, CHUNK).write(np.zeros((0, 6), "int32"))
    read_only[0:0] = 1
    np.testing.assert_array_equal(read_only[...], data_of(SHAPE))


@pytest.mark.parametrize(
    "order", list(itertools.permutations(("int", "slice", "array"))), ids="-".join
)
@pytest.mark.parametrize("array_kind", ["sorted", "unsorted", "duplicates", "bool"])
def test_an_int_a_slice_and_an_array_in_one_selection_follow_numpys_axis_order(
    store: Store, oracle: Callable[[], Any], order: tuple[str, ...], array_kind: str
) -> None:
    with oracle():
        made = zarr.create_array(store, shape=(4, 4, 4), chunks=(4, 4, 4), dtype="int32")
        made[...] = data_of((4, 4, 4))
    array = zarr.open_array(store, mode="r+")
    arrays = {
        "sorted": np.array([0, 1, 3]),
        "unsorted": np.array([3, 0, 2]),
        "duplicates": np.array([2, 0, 2]),
        "bool": np.array([True, False, True, True]),
    }
    parts = {"int": 1, "slice": slice(1, 3), "array": arrays[array_kind]}
    selection = tuple(parts[part] for part in order)
    shape = data_of((4, 4, 4))[selection].shape
    batch = Batch(array, (4, 4, 4))
    batch.add((0, 0, 0), selection, (slice(0, shape[0]), slice(0, shape[1])))
    out = np.zeros(shape, "int32")
    batch.read(out)
    np.testing.assert_array_equal(out, data_of((4, 4, 4))[selection])
    value = -data_of(shape)
    batch.write(value)
    expected = data_of((4, 4, 4))
    expected[selection] = value
    np.testing.assert_array_equal(read_by(oracle, array), expected)


def test_drop_axes_squeezes_reads_and_widens_writes(
    array: zarr.Array, oracle: Callable[[], Any]
) -> None:
    batch = Batch(array, CHUNK)
    batch.add((1, 2), np.ix_([0, 3, 5], [2]), (slice(0, 3),))
    batch.add((3, 2), np.ix_([7, 1], [2]), (np.array([4, 3]),))
    out = np.zeros(5, "int32")
    batch.read(out, drop_axes=(1,))
    data = data_of(SHAPE)
    expected = [data[8, 14], data[11, 14], data[13, 14], data[25, 14], data[31, 14]]
    assert out.tolist() == expected
    batch.write(-np.arange(1, 6, dtype="int32"), drop_axes=(1,))
    data[[8, 11, 13, 25, 31], 14] = [-1, -2, -3, -4, -5]
    np.testing.assert_array_equal(read_by(oracle, array), data)


def test_each_item_follows_its_own_spec(store: Store) -> None:
    """Fill value and configuration come from the item: one batch may contain two specs."""
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", fill_value=4, **LAYOUTS["zstd"])
    batch = Batch(array, CHUNK)
    other = Batch(array, CHUNK, write_empty_chunks=True)
    for row, source in enumerate((batch, other)):
        source.add((row, 0), (slice(0, 8), slice(0, 6)), (slice(0, 8), slice(0, 6)), whole=True)
    batch.items += other.items
    batch.write(np.full((8, 6), 4, "int32"))
    results = batch.read(np.zeros((8, 6), "int32"))
    assert [result["status"] for result in results] == ["missing", "present"]
