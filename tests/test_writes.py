"""Writes: values of every shape and kind, edges, resizing, refusals.

NumPy is the oracle for the values read back, zarr's own pipeline for the keys left. Empty chunks are
in test_empty_chunks.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.storage import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from zarr.abc.store import Store

    ChunksIn = Callable[[Store], dict[str, bytes]]
    Oracle = Callable[[], Any]

ZARR = Version(zarr.__version__)
SHAPE = (7, 9)
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"chunks": (3, 4), "compressors": None},
    "zstd": {"chunks": (3, 4)},
    "sharded": {"chunks": (3, 4), "shards": (6, 8), "compressors": None},
    "v2": {"chunks": (3, 4), "zarr_format": 2, "order": "F"},
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


def data_of(dtype: Any = "int32") -> npt.NDArray[Any]:
    return np.arange(1, 64).astype(dtype).reshape(SHAPE)


class Subclass(np.ndarray):
    """An ndarray subclass without changes."""


WHOLE = (slice(None), slice(None))
INNER = (slice(1, 6), slice(2, 9))
# name → (selection, value), valid for NumPy too.
VALUES: dict[str, tuple[Any, Any]] = {
    "full": (WHOLE, -data_of()),
    "scalar": (INNER, 5),
    "python_float": (INNER, 5.0),
    "bool_scalar": (INNER, True),
    "numpy_scalar_of_another_dtype": (INNER, np.float64(7.0)),
    "zero_dimensional": (INNER, np.array(8, "int32")),
    "zero_dimensional_float": (INNER, np.array(8.0)),
    "nested_lists": ((slice(0, 2), slice(0, 3)), [[1, 2, 3], [4, 5, 6]]),
    "column_of_ones": ((slice(None), slice(1, 3)), np.ones((7, 1), "int32")),
    "one_by_one_in_one_chunk": ((slice(3, 6), slice(4, 8)), np.full((1, 1), 6, "int32")),
    "float64": (WHOLE, data_of("float64") * 2),
    "int8": (WHOLE, data_of("int8")),
    "uint64": (INNER, data_of("uint64")[INNER]),
    "big_endian": (WHOLE, data_of(">i4") * 3),
    "big_endian_part": (INNER, data_of(">i4")[INNER]),
    "fortran": (WHOLE, np.asfortranarray(-data_of())),
    "strided": (INNER, np.repeat(np.repeat(data_of(), 2, 0), 3, 1)[::2, ::3][INNER]),
    "reversed": (WHOLE, data_of()[::-1, ::-1]),
    "reversed_columns": (INNER, data_of()[:, ::-1][INNER]),
    "broadcast": (WHOLE, np.broadcast_to(np.arange(9, dtype="int32"), SHAPE)),
    "read_only": (INNER, np.frombuffer(data_of().tobytes(), "int32").reshape(SHAPE)[INNER]),
    "subclass": (INNER, data_of()[INNER].view(Subclass)),
    "masked_array": (INNER, np.ma.masked_array(data_of()[INNER])),
    "unaligned": (
        WHOLE,
        np.frombuffer(b"x" + data_of().tobytes(), "uint8")[1:].view("int32").reshape(SHAPE),
    ),
    "one_row": ((3, slice(None)), np.arange(9, dtype="int32")),
    "one_column": ((slice(None), 8), np.arange(7, dtype="int32")),
    "steps": ((slice(1, 7, 2), slice(0, 9, 3)), data_of()[:3, :3]),
    "one_element": ((6, 8), np.array(9, "int32")),
    "nothing": ((slice(3, 3), slice(None)), np.zeros((0, 9), "int32")),
}


@pytest.mark.parametrize("start", ["empty", "filled"])
@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_assigned_as_numpy_assigns_it(
    store: Store, oracle: Oracle, layout: dict[str, Any], name: str, start: str
) -> None:
    selection, value = VALUES[name]
    expected = np.zeros(SHAPE, "int32")
    with oracle():
        made = zarr.create_array(store, shape=SHAPE, dtype="int32", fill_value=0, **layout)
        if start == "filled":
            made[...] = expected = data_of()
    array = zarr.open_array(store, mode="r+")
    array[selection] = value
    expected[selection] = value
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], expected)


@pytest.mark.parametrize(
    ("selection", "shape"),
    [
        ((slice(0, 3), slice(0, 4)), (7, 9)),
        ((slice(1, 6), slice(2, 9)), (5, 8)),
        ((slice(4, 7), slice(0, 9)), (5, 9)),
        ((2, slice(1, 7)), (20,)),
        ((3, 4), (1,)),
        ((6, 8), (1, 1)),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_value_larger_than_the_selection_is_clamped_or_refused_as_by_zarr(
    store: Store, oracle: Oracle, layout: dict[str, Any], selection: Any, shape: tuple[int, ...]
) -> None:
    value = np.arange(np.prod(shape), dtype="int32").reshape(shape)

    def outcome(where: Store) -> Any:
        array = zarr.create_array(where, shape=SHAPE, dtype="int32", fill_value=0, **layout)
        try:
            array[selection] = value
        except Exception as error:
            return type(error)
        with oracle():
            return zarr.open_array(where, mode="r")[...].tolist()

    with oracle():
        expected = outcome(MemoryStore())
    assert outcome(store) == expected


@pytest.mark.parametrize(
    ("selection", "shape"),
    [
        pytest.param(WHOLE, (9,), id="lower_rank"),
        pytest.param(INNER, (7,), id="lower_rank_part"),
        pytest.param(WHOLE, (3, 9), id="too_few_rows"),
        pytest.param(INNER, (1, 1), id="ones_across_chunks"),
        pytest.param((slice(0, 3), slice(0, 4)), (2, 4), id="too_few_rows_for_one_chunk"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_as_by_zarr(
    store: Store, oracle: Oracle, layout: dict[str, Any], selection: Any, shape: tuple[int, ...]
) -> None:
    def refuse(where: Store) -> type[Exception]:
        array = zarr.create_array(where, shape=SHAPE, dtype="int32", **layout)
        with pytest.raises(Exception) as caught:
            array[selection] = np.ones(shape, "int32")
        return caught.type

    with oracle():
        expected = refuse(MemoryStore())
    assert refuse(store) is expected


def test_structured_scalars_and_other_field_layouts_are_converted(
    store: Store, oracle: Oracle
) -> None:
    dtype = np.dtype([("a", "<i4"), ("b", "<f8")])
    array = zarr.create_array(
        store,
        shape=(6,),
        chunks=(4,),
        dtype=dtype,
        zarr_format=2,
        fill_value=np.zeros((), dtype)[()],
    )
    array[0:3] = np.array((1, 2.5), dtype)
    array[3] = np.array([(7, 8.5)], dtype)[0]
    array[4:6] = np.array([(3, 4.5), (5, 6.5)], [("a", ">i4"), ("b", ">f8")])
    expected = [(1, 2.5)] * 3 + [(7, 8.5), (3, 4.5), (5, 6.5)]
    with oracle():
        assert zarr.open_array(store, mode="r")[...].tolist() == expected


def test_the_callers_array_can_change_after_a_write(store: Store) -> None:
    array = zarr.create_array(store, shape=SHAPE, chunks=SHAPE, dtype="int32", compressors=None)
    value = data_of()
    array[...] = value
    value[...] = -1
    np.testing.assert_array_equal(array[...], data_of())


# Edges and resizing


def resized(store: Store, layout: dict[str, Any], reopen: bool) -> npt.NDArray[Any]:
    """Shrinks, writes at the new edge, grows again: zarr defines the bytes beyond the edge."""
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", fill_value=-1, **layout)
    array[...] = data_of()
    array.resize((5, 6))
    if reopen:
        array = zarr.open_array(store, mode="r+")
    array[4] = 100
    array[:, 5] = 200
    array[3:5, 4:6] = 300
    array.resize((9, 11))
    if reopen:
        array = zarr.open_array(store, mode="r+")
    array[8, 10] = 400
    return np.asarray(array[...])


@pytest.mark.parametrize("reopen", [True, False])
def test_shrinking_writing_and_growing_leaves_what_zarr_leaves(
    store: Store, oracle: Oracle, chunks_in: ChunksIn, layout: dict[str, Any], reopen: bool
) -> None:
    other = MemoryStore()
    with oracle():
        expected = resized(other, layout, reopen)
    np.testing.assert_array_equal(resized(store, layout, reopen), expected)
    assert chunks_in(store).keys() == chunks_in(other).keys()
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], expected)


def test_bytes_of_a_shard_beyond_the_edge_are_kept(store: Store) -> None:
    array = zarr.create_array(store, shape=(8, 8), chunks=(2, 2), shards=(8, 8), dtype="int32")
    array[...] = 7
    array.resize((5, 5))
    array[...] = 9
    array.resize((8, 8))
    expected = np.full((8, 8), 7)
    expected[:5, :5] = 9
    if Version("3.2") > ZARR:
        assert (array[:5, :5] == 9).all()
    np.testing.assert_array_equal(array[...], expected)


def test_append_grows_an_array_whose_pipeline_already_exists(
    store: Store, oracle: Oracle, layout: dict[str, Any]
) -> None:
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", fill_value=-1, **layout)
    array[...] = data_of()
    array.append(-data_of())
    array.append(data_of()[:1])
    expected = np.concatenate([data_of(), -data_of(), data_of()[:1]])
    np.testing.assert_array_equal(array[...], expected)
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], expected)


def test_attributes_can_change_between_reads_and_writes(store: Store) -> None:
    array = zarr.create_array(store, shape=SHAPE, chunks=(3, 4), dtype="int32")
    array[...] = data_of()
    array.update_attributes({"a": 1})
    array[0] = 5
    assert (array[0] == 5).all()


# Refusals


def test_a_read_only_store_refuses_with_zarrs_message(store: Store, chunks_in: ChunksIn) -> None:
    zarr.create_array(store, shape=SHAPE, chunks=(3, 4), dtype="int32")[...] = data_of()
    before = chunks_in(store)
    array = zarr.open_array(store.with_read_only(True), mode="r")
    for selection in (..., (0, 0), (slice(0, 3), slice(0, 4))):
        with pytest.raises(ValueError, match="store was opened in read-only mode"):
            array[selection] = 1
    with pytest.raises(ValueError, match="store was opened in read-only mode"):
        array[...] = 0
    array[3:3] = 1
    assert chunks_in(store) == before


def test_an_array_opened_for_reading_refuses_a_write(store: Store, chunks_in: ChunksIn) -> None:
    zarr.create_array(store, shape=SHAPE, chunks=(3, 4), dtype="int32")
    array = zarr.open_array(store, mode="r")
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 1
    assert chunks_in(store) == {}
