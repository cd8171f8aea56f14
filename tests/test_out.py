"""``out=`` of every layout: the result of NumPy's assignment into that array, or its error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from zarr.abc.store import Store

SHAPE = (10, 14)
SELECTIONS: dict[str, Any] = {
    "all": (slice(None), slice(None)),
    "part": (slice(1, 9), slice(3, 13)),
    "steps": (slice(0, 10, 3), slice(1, 14, 2)),
    "ints": (slice(2, 9), 5),
}


def plain(shape: tuple[int, ...], dtype: str = "int32") -> npt.NDArray[Any]:
    return np.full(shape, 77, dtype)


def every_other(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return plain(tuple(3 * extent for extent in shape))[tuple(slice(1, None, 3) for _ in shape)]


def unaligned(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    raw = np.zeros(4 * int(np.prod(shape)) + 1, "uint8")
    return raw[1:].view("int32").reshape(shape)


def one_field(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.zeros(shape, [("a", "u1"), ("b", "i4"), ("c", "u1")])["b"]


def swapped_axes(shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return plain(shape[::-1]).T


OUTS: dict[str, Callable[[tuple[int, ...]], npt.NDArray[Any]]] = {
    "c": plain,
    "f": lambda shape: np.asfortranarray(plain(shape)),
    "transposed": swapped_axes,
    "strided": every_other,
    "strided_rows": lambda shape: plain((2 * shape[0], *shape[1:]))[::2],
    "reversed": lambda shape: plain(shape)[tuple(slice(None, None, -1) for _ in shape)],
    "reversed_rows": lambda shape: plain(shape)[::-1],
    "reversed_columns": lambda shape: plain(shape)[..., ::-1],
    "unaligned": unaligned,
    "field_of_a_structure": one_field,
    "big_endian": lambda shape: plain(shape, ">i4"),
    "big_endian_strided": lambda shape: plain((2 * shape[0], *shape[1:]), ">i4")[::2],
    "int64": lambda shape: plain(shape, "int64"),
    "int16": lambda shape: plain(shape, "int16"),
    "float32": lambda shape: plain(shape, "float32"),
    "float64_f": lambda shape: np.asfortranarray(plain(shape, "float64")),
    "bool": lambda shape: plain(shape, "bool"),
    "complex": lambda shape: plain(shape, "complex64"),
    "object": lambda shape: plain(shape, "object"),
    "subclass": lambda shape: plain(shape).view(type("Sub", (np.ndarray,), {})),
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"chunks": (4, 5), "compressors": None},
    "one_chunk": {"chunks": (10, 14), "compressors": None},
    "zstd": {"chunks": (4, 5)},
    "sharded": {"chunks": (2, 5), "shards": (4, 10)},
    "f_on_disk": {"chunks": (4, 5), "zarr_format": 2, "order": "F"},
}


def data() -> npt.NDArray[Any]:
    return np.arange(140, dtype="int32").reshape(SHAPE) * 5 - 99


@pytest.fixture(params=LAYOUTS)
def array(request: pytest.FixtureRequest, store: Store, oracle: Callable[[], Any]) -> zarr.Array:
    """Filled by zarr's own pipeline except for one missing chunk, opened with zarrs."""
    with oracle():
        made = zarr.create_array(
            store, shape=SHAPE, dtype="int32", fill_value=-99, **LAYOUTS[request.param]
        )
        made[...] = data()
    return zarr.open_array(store, mode="r")


def read_into(array: zarr.Array, selection: Any, out: npt.NDArray[Any]) -> Any:
    buffer = default_buffer_prototype().nd_buffer(out)
    return array.get_basic_selection(selection, out=buffer)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("layout", OUTS)
def test_a_read_into_out_is_numpys_assignment(
    array: zarr.Array, layout: str, selection: str
) -> None:
    selected = data()[SELECTIONS[selection]]
    out, expected = OUTS[layout](selected.shape), OUTS[layout](selected.shape)
    expected[...] = selected
    returned = read_into(array, SELECTIONS[selection], out)
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == expected.dtype
    assert returned is out


def test_memory_between_the_elements_of_a_strided_out_is_untouched(array: zarr.Array) -> None:
    frame = plain((30, 44))
    expected = frame.copy()
    read_into(array, ..., frame[2:22:2, 1:43:3])
    expected[2:22:2, 1:43:3] = data()
    np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("strides", [(0, 4), (4, 0), (0, 0), (4, 4), (8, 4)])
def test_an_out_that_overlaps_itself_is_left_to_numpy(
    store: Store, oracle: Callable[[], Any], strides: tuple[int, int]
) -> None:
    """One chunk, so that NumPy alone determines the order of the assignments."""
    with oracle():
        made = zarr.create_array(store, shape=(6, 7), chunks=(6, 7), dtype="int32")
        made[...] = np.arange(42).reshape(6, 7)
    array = zarr.open_array(store, mode="r")
    memory, expected = np.zeros(100, "int32"), np.zeros(100, "int32")
    as_strided = np.lib.stride_tricks.as_strided
    read_into(array, ..., as_strided(memory, (6, 7), strides))
    as_strided(expected, (6, 7), strides)[...] = np.arange(42, dtype="int32").reshape(6, 7)
    np.testing.assert_array_equal(memory, expected)


def test_a_read_only_out_is_refused_and_unchanged(array: zarr.Array) -> None:
    out = plain(SHAPE)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        read_into(array, ..., out)
    assert (out == 77).all()


def test_a_broadcast_out_is_refused(array: zarr.Array) -> None:
    out = np.broadcast_to(np.int32(5), SHAPE)
    with pytest.raises(ValueError, match="read-only"):
        read_into(array, ..., out)


def test_an_out_of_another_shape_is_refused_with_zarrs_message(array: zarr.Array) -> None:
    with pytest.raises(ValueError, match="shape of out argument doesn't match"):
        read_into(array, ..., plain((14, 10)))


def test_a_bare_numpy_array_is_refused_with_zarrs_message(array: zarr.Array) -> None:
    with pytest.raises(TypeError, match="NDBuffer"):
        array.get_basic_selection(..., out=plain(SHAPE))


@pytest.mark.parametrize("kind", ["oindex", "coordinate", "mask", "block"])
@pytest.mark.parametrize("layout", ["c", "f", "strided", "reversed", "big_endian", "float32"])
def test_every_kind_of_selection_reads_into_out(array: zarr.Array, kind: str, layout: str) -> None:
    rows, columns = [9, 0, 4, 0], [1, 13, 2, 2]
    mask = data() % 3 == 0
    buffer = default_buffer_prototype().nd_buffer
    grid = array.shards or array.chunks
    selected, read = {
        "oindex": (
            data()[np.ix_(rows, columns)],
            lambda out: array.get_orthogonal_selection((rows, columns), out=out),
        ),
        "coordinate": (
            data()[rows, columns],
            lambda out: array.get_coordinate_selection((rows, columns), out=out),
        ),
        "mask": (data()[mask], lambda out: array.get_mask_selection(mask, out=out)),
        "block": (
            data()[: grid[0], : grid[1]],
            lambda out: array.get_block_selection((0, 0), out=out),
        ),
    }[kind]
    out, expected = OUTS[layout](selected.shape), OUTS[layout](selected.shape)
    expected[...] = selected
    read(buffer(out))
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", ["int32", ">i4", "float64", "object"])
def test_a_zero_dimensional_out_is_filled(store: Store, dtype: str) -> None:
    array = zarr.create_array(store, shape=(), dtype="int32")
    array[...] = 5
    out = np.array(0, dtype)
    read_into(array, (), out)
    assert out == 5


def test_a_read_returns_a_writable_array_that_aliases_nothing(array: zarr.Array) -> None:
    first = array[...]
    assert first.flags.writeable
    assert first.flags.owndata or first.base is not None
    first[...] = 0
    np.testing.assert_array_equal(array[...], data())
