"""Empty chunks are stored, kept or erased by the same rules as under zarr's own pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.storage import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from zarr.abc.store import Store

    ChunksIn = Callable[[Store], dict[str, bytes]]
    Oracle = Callable[[], Any]

SHAPE = (7, 9)
LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {"chunks": (3, 4), "compressors": None},
    "zstd": {"chunks": (3, 4)},
    "sharded": {"chunks": (3, 4), "shards": (6, 8), "compressors": None},
    "v2": {"chunks": (3, 4), "zarr_format": 2, "order": "F"},
}


DATA = np.arange(1, 64, dtype="int32").reshape(SHAPE)


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


NAN_PAYLOAD = np.array([0x7FF8000000000123], "uint64").view("float64")[0]
NAT = np.datetime64("NaT", "ns")
STRUCT = np.dtype([("x", "<f8"), ("y", "<i4")])
# name → (dtype, fill value, content of the chunk, Zarr format)
EMPTINESS: dict[str, tuple[Any, Any, Any, int]] = {
    "zero": ("float64", 0.0, 0.0, 3),
    "negative_zero": ("float64", 0.0, -0.0, 3),
    "negative_zero_fill": ("float64", -0.0, 0.0, 3),
    "negative_zero_both": ("float32", -0.0, -0.0, 3),
    "half_negative_zero": ("float16", 0.0, -0.0, 3),
    "nan": ("float64", float("nan"), float("nan"), 3),
    "nan_payload": ("float64", float("nan"), NAN_PAYLOAD, 3),
    "nan_payload_fill": ("float64", NAN_PAYLOAD, float("nan"), 3),
    "nan_fill_number": ("float32", float("nan"), 1.0, 3),
    "infinity": ("float64", float("inf"), float("inf"), 3),
    "infinity_negative": ("float64", float("inf"), float("-inf"), 3),
    "integer": ("int16", -3, -3, 3),
    "unsigned": ("uint64", 2**64 - 1, 2**64 - 1, 3),
    "bool": ("bool", True, True, 3),
    "bool_other": ("bool", True, False, 3),
    "complex": ("complex128", 1 + 2j, 1 + 2j, 3),
    "complex_negative_zero": ("complex64", 0j, complex(-0.0, 0.0), 3),
    "complex_nan": ("complex128", complex("nan"), complex(0, float("nan")), 3),
    "datetime_nat": ("datetime64[ns]", NAT, NAT, 3),
    "datetime": ("datetime64[s]", np.datetime64(7, "s"), np.datetime64(7, "s"), 3),
    "timedelta_nat": ("timedelta64[s]", np.timedelta64("NaT", "s"), np.timedelta64("NaT", "s"), 3),
    "bytes": ("S4", b"ab", b"ab", 3),
    "bytes_other": ("S4", b"ab", b"abc", 3),
    "unicode": ("U3", "äb", "äb", 3),
    "v2_none": ("int32", None, 0, 2),
    "v2_none_float": ("float64", None, 0.0, 2),
    "v2_none_negative_zero": ("float64", None, -0.0, 2),
    "v2_none_datetime": ("M8[s]", None, np.datetime64(0, "s"), 2),
    "v2_struct": (STRUCT, np.array((1.5, 2), STRUCT)[()], np.array((1.5, 2), STRUCT)[()], 2),
    "v2_struct_negative_zero": (
        STRUCT,
        np.array((0.0, 2), STRUCT)[()],
        np.array((-0.0, 2), STRUCT)[()],
        2,
    ),
    "v2_struct_nan": (
        STRUCT,
        np.array((float("nan"), 2), STRUCT)[()],
        np.array((float("nan"), 2), STRUCT)[()],
        2,
    ),
    "v2_void": ("V4", np.void(b"abcd"), np.void(b"abcd"), 2),
    "big_endian": (">f8", 0.0, -0.0, 2),
    "big_endian_equal": (">i4", 5, 5, 2),
}


# Known bug of old releases: with fill value 0.0 a chunk of −0.0 counts as empty, and is lost.
NEGATIVE_ZERO_IS_KEPT = Version("3.1.6") <= Version(zarr.__version__)


@pytest.mark.filterwarnings("ignore:The data type")
@pytest.mark.parametrize("shards", [None, (4, 8)])
@pytest.mark.parametrize("write_empty_chunks", [False, True])
@pytest.mark.parametrize("name", EMPTINESS)
def test_a_write_leaves_the_keys_that_zarr_leaves(
    store: Store,
    oracle: Oracle,
    chunks_in: ChunksIn,
    name: str,
    write_empty_chunks: bool,
    shards: tuple[int, ...] | None,
) -> None:
    dtype, fill_value, value, zarr_format = EMPTINESS[name]
    if shards is not None and zarr_format == 2:
        pytest.skip("shards came with Zarr 3")
    if not NEGATIVE_ZERO_IS_KEPT and ("negative_zero" in name or name == "big_endian"):
        pytest.skip("this zarr takes -0.0 for 0.0")
    values = np.empty((8, 8), dtype)
    values[...] = value

    def write(where: Store) -> dict[str, bytes]:
        array = zarr.create_array(
            where,
            shape=(8, 8),
            chunks=(4, 4),
            shards=shards,
            dtype=dtype,
            fill_value=fill_value,
            zarr_format=zarr_format,
            compressors=None,
            config={"write_empty_chunks": write_empty_chunks},
        )
        array[0:5, 0:4] = values[0:5, 0:4]
        array[0:4] = values[0:4]
        array[6, 1] = values[6, 1]
        return chunks_in(where)

    with oracle():
        expected = write(MemoryStore())
    assert write(store) == expected


@pytest.mark.parametrize("write_empty_chunks", [False, True])
def test_writing_the_fill_value_erases_or_keeps_existing_chunks(
    store: Store, chunks_in: ChunksIn, layout: dict[str, Any], write_empty_chunks: bool
) -> None:
    config = {"write_empty_chunks": write_empty_chunks}
    array = zarr.create_array(
        store, shape=SHAPE, dtype="int32", fill_value=4, config=config, **layout
    )
    array[...] = DATA
    before = chunks_in(store).keys()
    array[...] = 4
    assert chunks_in(store).keys() == (before if write_empty_chunks else set())
    assert (array[...] == 4).all()
    array[...] = DATA
    for row in range(7):
        array[row] = 4
    assert chunks_in(store).keys() == (before if write_empty_chunks else set())


def test_an_emptied_subchunk_is_omitted_from_its_shard(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn
) -> None:
    def write() -> dict[str, bytes]:
        store = make_store()
        array = zarr.create_array(
            store, shape=(6, 8), chunks=(3, 4), shards=(6, 8), dtype="int32", compressors=None
        )
        array[...] = 3
        array[0:3, 4:8] = 0
        return chunks_in(store)

    stored = write()
    with oracle():
        assert write() == stored
    assert len(stored["c/0/0"]) == 3 * 48 + 4 * 16 + 4


def test_an_empty_selection_writes_nothing_at_all(
    store: Store, chunks_in: ChunksIn, layout: dict[str, Any]
) -> None:
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", **layout)
    array[3:3] = 1
    array.oindex[np.zeros(7, bool), 0] = 1
    array[np.zeros(SHAPE, bool)] = 1
    assert chunks_in(store) == {}
