"""Every fixed-size data type, in both byte orders in memory and in storage, with any fill value.

zarr's own pipeline writes what the tests read and reads what they write; stored bytes are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.codecs import BytesCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from zarr.abc.store import Store

    ChunksIn = Callable[[Store], dict[str, bytes]]
    Oracle = Callable[[], Any]

pytestmark = pytest.mark.filterwarnings("ignore:The data type")
ZARR = Version(zarr.__version__)
SHAPE, CHUNKS, SHARDS = (5, 7), (2, 3), (4, 6)

# "unhashable type: 'writeable void-scalar'": zarr's own shards could not hold voids.
VOIDS_IN_SHARDS = Version("3.4") <= ZARR
# Before, the fields of a structure were stored in native byte order, whatever the codec specified.
BIG_ENDIAN_STRUCTURES = Version("3.4") <= ZARR

NUMBERS = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NUMBERS += ["float16", "float32", "float64", "complex64", "complex128"]
UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "10us", "ps"]
TIMES = [f"{kind}8[{unit}]" for kind in "Mm" for unit in UNITS]
TEXTS = ["S1", "S7", "U1", "U5", "V1", "V6", "V16"]
SIMPLE = [*NUMBERS, *TIMES, *TEXTS]
FLAT = np.dtype([("a", "<i4"), ("b", "<f8"), ("c", "S3"), ("d", "?")])
NESTED = np.dtype([("a", "<u2"), ("in", [("x", "<f4"), ("t", "<M8[s]")])])
WITH_ARRAY = np.dtype([("a", "<i2"), ("m", "<f4", (2, 3))])
STRUCTURES = {"flat": FLAT, "nested": NESTED, "sub_array": WITH_ARRAY}


def values_of(dtype: Any, shape: tuple[int, ...] = SHAPE) -> npt.NDArray[Any]:
    """Values that use every byte of the data type, including NaN payloads."""
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(dtype.itemsize)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "U":
        letters = list("aé語🙂 z")
        text = ["".join(rng.choice(letters, dtype.itemsize // 4)) for _ in range(np.prod(shape))]
        return np.array(text, dtype).reshape(shape)
    if dtype.kind == "V" and dtype.names:
        values = np.zeros(shape, dtype)
        for name in dtype.names:
            field = dtype[name]
            values[name] = values_of(field.base, (*shape, *field.shape))
        return values
    if dtype.kind in "Mm":
        # Not all 64-bit values: some releases of NumPy refuse to compare the largest in other units.
        return rng.integers(-(2**50), 2**50, shape).astype("<i8").view(dtype)
    raw = rng.integers(0, 256, (*shape, dtype.itemsize), dtype="uint8")
    return raw.view(dtype).reshape(shape)


def swapped(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same values in the other byte order."""
    return values.astype(values.dtype.newbyteorder("S"))


def assert_same(actual: Any, expected: npt.NDArray[Any]) -> None:
    """The same type and the same bytes, so that NaN payloads count."""
    actual = np.asarray(actual)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.tobytes() == expected.tobytes()


def both_ways(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    values: Any,
    **options: Any,
) -> None:
    """zarr writes and zarrs reads, zarrs writes and zarr reads, and the stored bytes are equal."""
    ours, theirs = make_store(), make_store()
    options = {"chunks": CHUNKS, "dtype": values.dtype, "shape": values.shape} | options
    with oracle():
        zarr.create_array(theirs, **options)[...] = values
    array = zarr.create_array(ours, **options)
    array[...] = values
    assert chunks_in(ours) == chunks_in(theirs)
    read = zarr.open_array(theirs, mode="r")
    expected = values.astype(read.dtype)
    assert_same(read[...], expected)
    assert_same(read[1:4, 2:6], expected[1:4, 2:6])
    assert_same(read.oindex[[4, 0, 2], 1:6], expected[[4, 0, 2], 1:6])
    assert_same(read.vindex[[4, 0], [6, 1]], expected[[4, 0], [6, 1]])
    array[1:4, 2:6] = values[2:5, 1:5]
    expected[1:4, 2:6] = expected[2:5, 1:5].copy()
    with oracle():
        assert_same(zarr.open_array(ours, mode="r")[...], expected)


@pytest.mark.parametrize("shards", [None, SHARDS], ids=["plain", "sharded"])
@pytest.mark.parametrize("dtype", SIMPLE)
def test_every_data_type_is_read_and_written(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, dtype: str, shards: Any
) -> None:
    if shards is not None and dtype.startswith("V") and not VOIDS_IN_SHARDS:
        pytest.skip("this zarr's own shards cannot hold voids")
    values = values_of(dtype)
    both_ways(make_store, oracle, chunks_in, values, shards=shards, compressors=None)


@pytest.mark.parametrize("endian", ["big", "little"])
@pytest.mark.parametrize("dtype", [one for one in SIMPLE if np.dtype(one).newbyteorder(">") != one])
def test_values_are_stored_in_the_codecs_byte_order(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, dtype: str, endian: Any
) -> None:
    serializer = BytesCodec(endian=endian)
    values = values_of(dtype)
    both_ways(make_store, oracle, chunks_in, values, serializer=serializer, compressors=None)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize("dtype", [one for one in SIMPLE if one not in ("V1", "V6", "V16")])
def test_every_data_type_of_format_2_is_read_and_written(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    dtype: str,
    byte_order: str,
    order: str,
) -> None:
    values = values_of(dtype)
    values = values.astype(values.dtype.newbyteorder(byte_order))
    both_ways(make_store, oracle, chunks_in, values, zarr_format=2, order=order, compressors=None)


@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures_of_format_2_are_read_and_written(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    structure: str,
    byte_order: str,
) -> None:
    values = values_of(STRUCTURES[structure])
    values = values.astype(values.dtype.newbyteorder(byte_order))
    try:
        with oracle():
            kept: dict[str, Any] = {}
            zarr.create_array(kept, shape=(1,), dtype=values.dtype, zarr_format=2)
            zarr.open_array(kept, mode="r")
    except (ValueError, TypeError) as error:
        pytest.skip(f"this zarr has no such data type: {error}")
    both_ways(make_store, oracle, chunks_in, values, zarr_format=2, compressors=None)


@pytest.mark.parametrize("endian", ["big", "little"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures_of_format_3_are_read_and_written(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    structure: str,
    endian: Any,
) -> None:
    if endian == "big" and not BIG_ENDIAN_STRUCTURES:
        pytest.skip("this zarr stores structures in memory's byte order")
    values = values_of(STRUCTURES[structure])
    serializer = BytesCodec(endian=endian)
    options: dict[str, Any] = {"serializer": serializer, "compressors": None}
    try:
        with oracle():
            zarr.create_array({}, shape=SHAPE, dtype=values.dtype, **options)[...] = values
    except (ValueError, TypeError) as error:
        pytest.skip(f"this zarr has no such data type: {error}")
    both_ways(make_store, oracle, chunks_in, values, **options)


@pytest.mark.parametrize(
    "name",
    [
        "bfloat16",
        "float8_e4m3fn",
        "float8_e5m2",
        "int4",
        "uint4",
        "float8_e8m0fnu",
        "float4_e2m1fn",
    ],
)
def test_ml_dtypes_work_where_zarr_accepts_them(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, name: str
) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.arange(35).reshape(SHAPE).astype(getattr(ml_dtypes, name))
    try:
        zarr.create_array({}, shape=SHAPE, chunks=CHUNKS, dtype=values.dtype)
    except (ValueError, TypeError) as error:
        pytest.skip(f"zarr does not know the type: {error}")
    both_ways(make_store, oracle, chunks_in, values, compressors=None)


# Byte order in memory


@pytest.mark.parametrize("shards", [None, SHARDS], ids=["plain", "sharded"])
@pytest.mark.parametrize("endian", ["big", "little"])
@pytest.mark.parametrize(
    "dtype", ["int16", "int32", "uint64", "float16", "complex64", "M8[s]", "U3"]
)
def test_arrays_of_the_other_byte_order_are_swapped(
    store: Store, oracle: Oracle, dtype: str, endian: Any, shards: Any
) -> None:
    values = values_of(dtype)
    if dtype == "float16":
        values = np.nan_to_num(values)
    options: dict[str, Any] = {"serializer": BytesCodec(endian=endian), "compressors": None}
    if shards is not None:
        options = {"shards": shards, "compressors": None}
    array = zarr.create_array(store, shape=SHAPE, chunks=CHUNKS, dtype=dtype, **options)
    array[...] = swapped(values)
    with oracle():
        assert_same(zarr.open_array(store, mode="r")[...], values)
    array[1:4, 2:5] = swapped(values)[0:3, 0:3]
    values[1:4, 2:5] = values[0:3, 0:3].copy()
    out = swapped(np.zeros_like(values))
    array.get_basic_selection(..., out=default_buffer_prototype().nd_buffer(out))
    assert_same(out, swapped(values))
    assert_same(array[...], values)


def test_big_endian_complex_numbers_are_swapped_per_component(store: Store) -> None:
    array = zarr.create_array(
        store,
        shape=(1,),
        chunks=(1,),
        dtype="complex64",
        serializer=BytesCodec(endian="big"),
        compressors=None,
        chunk_key_encoding={"name": "v2", "separator": "."},
    )
    array[...] = 1 + 2j
    raw = np.array([1.0, 2.0], ">f4").tobytes()
    if isinstance(store, MemoryStore):
        assert store._store_dict["0"].to_bytes() == raw
    else:
        assert (store.root / "0").read_bytes() == raw
    assert array[0] == 1 + 2j


# Fill values

PAYLOAD_64 = np.array([0x7FF8000000ABCDEF], "uint64").view("float64")[0]
PAYLOAD_32 = np.array([0xFFC12345], "uint32").view("float32")[0]
FILLS: list[Any] = [
    pytest.param("bool", True, id="bool"),
    pytest.param("uint64", 2**64 - 1, id="uint64"),
    pytest.param("int8", -128, id="int8"),
    pytest.param("float16", -0.0, id="float16_negative_zero"),
    pytest.param("float64", -0.0, id="float64_negative_zero"),
    pytest.param("float32", float("nan"), id="nan"),
    pytest.param("float64", PAYLOAD_64, id="nan_payload_64"),
    pytest.param("float32", PAYLOAD_32, id="nan_payload_32"),
    pytest.param("float64", float("-inf"), id="infinity"),
    pytest.param("complex64", complex(-0.0, float("nan")), id="complex"),
    pytest.param("complex128", complex(1, -0.0), id="complex_negative_zero"),
    pytest.param("M8[ns]", np.datetime64("NaT", "ns"), id="datetime_nat"),
    pytest.param("M8[D]", np.datetime64("1969-07-20"), id="datetime"),
    pytest.param("m8[10us]", np.timedelta64(-3, "10us"), id="timedelta"),
    pytest.param("S5", b"abc", id="bytes"),
    pytest.param("U4", "é語", id="unicode"),
    pytest.param("V4", np.void(b"\x00\x01\x02\xff"), id="void"),
]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("shards", [None, SHARDS], ids=["plain", "sharded"])
@pytest.mark.parametrize(("dtype", "fill_value"), FILLS)
def test_missing_chunks_and_the_rest_of_edge_chunks_hold_the_fill_value(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    dtype: str,
    fill_value: Any,
    shards: Any,
    zarr_format: Any,
) -> None:
    if zarr_format == 2 and shards is not None:
        pytest.skip("shards came with Zarr 3")
    if shards is not None and dtype.startswith("V") and not VOIDS_IN_SHARDS:
        pytest.skip("this zarr's own shards cannot hold voids")
    options: dict[str, Any] = {
        "shape": SHAPE,
        "chunks": CHUNKS,
        "dtype": dtype,
        "fill_value": fill_value,
        "shards": shards,
        "zarr_format": zarr_format,
        "compressors": None,
    }
    values = values_of(dtype, (1, 1))
    ours, theirs = make_store(), make_store()
    array = zarr.create_array(ours, **options)
    array[4, 6] = values[0, 0]
    array[0:2, 0:2] = values
    with oracle():
        other = zarr.create_array(theirs, **options)
        other[4, 6] = values[0, 0]
        other[0:2, 0:2] = values
        # Not reopened: the metadata's JSON does not preserve the payload of a NaN.
        expected = np.asarray(other[...])
    assert chunks_in(ours) == chunks_in(theirs)
    assert_same(array[...], expected)
    assert_same(array[4:5, 5:7], expected[4:5, 5:7])


@pytest.mark.parametrize("dtype", ["bool", "int32", ">i2", "float64", "c8", "M8[s]", "m8[ms]"])
def test_a_null_fill_value_of_format_2_reads_as_zarrs_default(
    store: Store, oracle: Oracle, dtype: str
) -> None:
    options: dict[str, Any] = {"shape": SHAPE, "chunks": CHUNKS, "dtype": dtype, "zarr_format": 2}
    array = zarr.create_array(store, fill_value=None, **options)
    array[0:2, 0:3] = values_of(dtype)[0:2, 0:3]
    with oracle():
        expected = np.asarray(zarr.open_array(store, mode="r")[...])
    assert_same(array[...], expected)
