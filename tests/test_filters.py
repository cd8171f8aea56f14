"""Codecs that transform numbers, in both formats: stored bytes equal those of zarr's own pipeline, bit for bit.

The oracle runs numcodecs, NumPy and cast-value-rs. Compressors and shards have their own test files.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.core.buffer.cpu import Buffer
from zarr.storage import MemoryStore

import zarrs

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Oracle = Callable[[], Any]
    Values = npt.NDArray[Any]

wrappers = pytest.importorskip("zarr.codecs.numcodecs")
# Before 3.3, zarr passes the wrong data type to a codec behind another; the newest release is the oracle.
sound_zarr = pytest.mark.xfail(
    Version(zarr.__version__) < Version("3.3"),
    reason="zarr itself is wrong or refuses",
    strict=False,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Numcodecs codecs"),
    pytest.mark.filterwarnings("ignore:The data type"),
    pytest.mark.filterwarnings("ignore:Combining a"),
    pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning"),
]

SHAPE, CHUNKS = (11, 10), (4, 10)
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
FLOATS = ["f2", "f4", "f8"]
WRAPPERS = {
    "astype": "AsType",
    "bitround": "BitRound",
    "delta": "Delta",
    "fixedscaleoffset": "FixedScaleOffset",
    "packbits": "PackBits",
    "pcodec": "PCodec",
    "quantize": "Quantize",
}
Config = dict[str, Any]


def codec_of(config: Config, zarr_format: int) -> Any:
    if zarr_format == 2:
        return numcodecs.get_codec(config)
    parameters = {key: value for key, value in config.items() if key != "id"}
    return getattr(wrappers, WRAPPERS[config["id"]])(**parameters)


def small(dtype: str) -> Values:
    """Numbers that every codec can represent."""
    values = np.random.default_rng(1).integers(0, 100, SHAPE)
    return values.astype("i8").view(dtype) if dtype[-2:] == "s]" else values.astype(dtype)


def wild(dtype: str) -> Values:
    """Random bits, and the smallest and largest numbers."""
    one = np.dtype(dtype)
    if one.kind == "b":
        return np.random.default_rng(2).integers(0, 2, SHAPE).astype(bool)
    size = int(np.prod(SHAPE))
    values = np.frombuffer(np.random.default_rng(2).bytes(size * one.itemsize), one).copy()
    native = one.newbyteorder("=")
    if one.kind in "fc":
        edges = [np.nan, np.inf, -np.inf, -0.0, 0.5, 1.5, -2.5, 1e-3, 60000.0, 3e9, -3e9, 1e19]
        edges += [np.finfo(native).max, np.finfo(native).tiny, 32767.5, 255.5, -128.5]
        values[: 4 * len(edges)] = np.tile(np.array(edges), 4).astype(one)
    elif one.kind in "iu":
        values[:4] = [np.iinfo(native).max, np.iinfo(native).min, 0, 1]
        values[40:60] = values[40:60] % 100
    return values.reshape(SHAPE)


def tame(dtype: str) -> Values:
    """Fractions and negative numbers where the data type has them, none of them large."""
    values = np.random.default_rng(3).normal(0, 40, SHAPE)
    if np.dtype(dtype).kind in "ub":
        values = np.abs(values)
    return values.astype("i8").view(dtype) if dtype[-2:] == "s]" else values.astype(dtype)


def chunks_of(store: MemoryStore) -> dict[str, bytes]:
    return {
        key: value.to_bytes()
        for key, value in store._store_dict.items()
        if key.rsplit("/", 1)[-1] not in {"zarr.json", ".zarray", ".zattrs"}
    }


def bits(values: Any) -> bytes:
    """The bits, with every NaN made equal."""
    values = np.ascontiguousarray(values).copy()
    if values.dtype.kind in "fc":
        values = values.view(values.real.dtype)
        values[np.isnan(values)] = np.nan
    return values.tobytes()


def stored_bits(store: MemoryStore, options: dict[str, Any]) -> dict[str, bytes]:
    """The stored bytes, except for NaNs converted from half precision."""
    chunks = chunks_of(store)
    codec = (options.get("filters") or [None])[-1]
    codec = getattr(codec, "_codec", codec)
    kind = getattr(codec, "astype", None)
    if not isinstance(kind, np.dtype) or kind.newbyteorder("=") != "f2":
        return chunks
    return {key: bits(np.frombuffer(value, kind)) for key, value in chunks.items()}


def written(values: Values, options: dict[str, Any]) -> MemoryStore | type[Exception]:
    store = MemoryStore()
    defaults = {"shape": values.shape, "dtype": values.dtype, "chunks": CHUNKS, "fill_value": 0}
    if options.get("zarr_format") != 2:
        # zarr's default for single bytes names no byte order, which the output of a codec may need.
        defaults["serializer"] = BytesCodec()
    try:
        array = zarr.create_array(store, **(defaults | {"compressors": None} | options))
        array[...] = values
    except zarrs.UnsupportedError:
        raise
    except Exception as error:
        return type(error)
    return store


def read(store: MemoryStore, selection: Any = ...) -> Any:
    try:
        return bits(zarr.open_array(store, mode="r")[selection])
    except zarrs.UnsupportedError:
        raise
    except Exception as error:
        return type(error)


def copied(store: MemoryStore) -> MemoryStore:
    return MemoryStore(dict(store._store_dict))


def same_as_zarr(
    oracle: Oracle, values: Values, *, equal_bytes: bool = True, **options: Any
) -> None:
    ours = written(values, options)
    # One chunk at a time, so that the first chunk raises the error.
    with oracle(), zarr.config.set({"async.concurrency": 1}):
        theirs = written(values, options)
    if not (isinstance(ours, MemoryStore) and isinstance(theirs, MemoryStore)):
        assert ours is theirs
        return
    if equal_bytes:
        assert stored_bits(ours, options) == stored_bits(theirs, options)
    selections: list[Any] = [..., (slice(1, 9), slice(0, 10, 3)), (5, slice(2, 4))]
    with oracle():
        expected = [read(theirs, selection) for selection in selections]
        assert read(ours) == expected[0]
    assert [read(theirs, selection) for selection in selections] == expected
    # A partial write decodes, merges and encodes.
    with oracle():
        changed = copied(theirs)
        reference = partly_written(changed, values)
    if reference is None:
        assert partly_written(theirs, values) is None
        if equal_bytes:
            assert stored_bits(theirs, options) == stored_bits(changed, options)
        with oracle():
            assert read(theirs) == read(changed)
    else:
        assert partly_written(theirs, values) is reference


def partly_written(store: MemoryStore, values: Values) -> type[Exception] | None:
    try:
        zarr.open_array(store, mode="r+")[2:7, 3:5] = values[4:9, 1:3]
    except zarrs.UnsupportedError:
        raise
    except Exception as error:
        return type(error)
    return None


def is_refused(**options: Any) -> bool:
    """Whether the codec has no native step, and is left to numcodecs or zarr-python."""
    values = options.pop("values")
    more = {"shape": values.shape, "dtype": values.dtype, "chunks": CHUNKS, "compressors": None}
    if options.get("zarr_format") != 2:
        more["serializer"] = BytesCodec()
    explanation = zarrs.explain(zarr.create_array({}, **(more | options)))
    return not explanation.native or "Python" in {where for _, where in explanation.steps}


DELTAS: list[tuple[str, Config]] = [
    *[(dtype, {"id": "delta", "dtype": dtype}) for dtype in [*INTEGERS, *FLOATS, "c8", "c16"]],
    *[
        (dtype, {"id": "delta", "dtype": dtype, "astype": astype})
        for dtype, astype in [
            ("i4", "i2"), ("i4", "i1"), ("i2", "i4"), ("u2", "i4"), ("u1", "i2"), ("i8", "i4"),
            ("u4", "u2"), ("i4", "u1"), ("i2", "u2"), ("f4", "i2"), ("f8", "i4"), ("f8", "i8"),
            ("f8", "f4"), ("f4", "f8"), ("f2", "f4"), ("f4", "f2"), ("i2", "f4"), ("i4", "f8"),
            ("f4", "u1"), ("f2", "i1"), ("u4", "i8"),
        ]
    ],
    ("M8[s]", {"id": "delta", "dtype": "i8"}),
    ("m8[s]", {"id": "delta", "dtype": "i8", "astype": "i4"}),
]  # fmt: skip
SCALED: list[tuple[str, Config]] = [
    (dtype, {"id": "fixedscaleoffset", "dtype": dtype, "astype": astype} | scaling)
    for dtype, astype, scaling in [
        ("f8", "u1", {"offset": 0, "scale": 2}),
        ("f8", "i2", {"offset": 3.5, "scale": 10}),
        ("f8", "f4", {"offset": 1e9, "scale": 0.37}),
        ("f4", "i2", {"offset": 1000.25, "scale": 100.5}),
        ("f4", "i4", {"offset": 1, "scale": 3}),
        ("f4", "f4", {"offset": 1e9, "scale": 1e-3}),
        ("f4", "u8", {"offset": 0.5, "scale": 7}),
        ("f2", "i1", {"offset": 0.1, "scale": 2.5}),
        ("f2", "f8", {"offset": 3, "scale": 1.1}),
        ("i4", "i4", {"offset": 1000, "scale": 3}),
        ("i4", "i2", {"offset": 7, "scale": 0.5}),
        ("i8", "i8", {"offset": -(2**40), "scale": 1}),
        ("u1", "u1", {"offset": 3, "scale": 1}),
        ("u2", "f4", {"offset": 100.5, "scale": 0.1}),
        ("u8", "i8", {"offset": 5, "scale": 2}),
        ("i1", "f2", {"offset": 1.5, "scale": 3}),
        ("i2", "u2", {"offset": 10, "scale": -1}),
        ("f8", "f8", {"offset": 0, "scale": 0}),
    ]
]
ROUNDED: list[tuple[str, Config]] = [
    *[
        (dtype, {"id": "bitround", "keepbits": keep})
        for dtype, keeps in [("f2", (0, 3, 9, 10)), ("f4", (0, 7, 22, 23)), ("f8", (0, 20, 52))]
        for keep in keeps
    ],
    ("f4", {"id": "bitround", "keepbits": 24}),
    *[
        (dtype, {"id": "quantize", "digits": digits, "dtype": dtype})
        for dtype in FLOATS
        for digits in (-2, 0, 1, 3, 10)
    ],
]
OTHERS: list[tuple[str, Config]] = [
    ("bool", {"id": "packbits"}),
    ("i8", {"id": "astype", "encode_dtype": "M8[s]", "decode_dtype": "i8"}),
    ("M8[s]", {"id": "astype", "encode_dtype": "i8", "decode_dtype": "M8[s]"}),
    ("bool", {"id": "astype", "encode_dtype": "f4", "decode_dtype": "bool"}),
    ("f4", {"id": "astype", "encode_dtype": "bool", "decode_dtype": "f4"}),
]
ALL = [*DELTAS, *SCALED, *ROUNDED, *OTHERS]
ONE_OF_EACH = [DELTAS[2], DELTAS[13], SCALED[3], ROUNDED[6], ROUNDED[-4], OTHERS[0], OTHERS[3]]


def id_of(case: Any) -> str:
    return (
        "-".join(f"{one}" for one in (case[0], *case[1].values())).replace("[", "").replace("]", "")
    )


def in_order(config: Config, order: str) -> Config:
    """`config` with its data types in the given byte order."""
    types = ("dtype", "astype", "encode_dtype", "decode_dtype")
    return {
        key: np.dtype(value).newbyteorder(order).str if key in types else value
        for key, value in config.items()
    }


@sound_zarr
@pytest.mark.parametrize("case", ALL, ids=id_of)
@pytest.mark.parametrize("make", [small, tame, wild])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_each_codec(
    oracle: Oracle, case: tuple[str, Config], make: Callable[[str], Values], zarr_format: Any
) -> None:
    dtype, config = case
    if zarr_format == 3 and config == OTHERS[1][1]:
        pytest.skip("zarr's format 3 assigns dates to integers, which NumPy refuses")
    filters = [codec_of(config, zarr_format)]
    same_as_zarr(oracle, make(dtype), filters=filters, zarr_format=zarr_format)


@pytest.mark.parametrize("case", ALL, ids=id_of)
def test_each_codec_on_big_endian_numbers_of_format_2(
    oracle: Oracle, case: tuple[str, Config]
) -> None:
    dtype, config = case[0], in_order(case[1], ">")
    if config["id"] == "bitround":
        pytest.skip("numcodecs knows only this machine's byte order: below")
    values = wild(dtype).astype(np.dtype(dtype).newbyteorder(">"))
    same_as_zarr(oracle, values, filters=[codec_of(config, 2)], zarr_format=2)


def test_data_that_numcodecs_refuses_or_mangles_is_left_to_it() -> None:
    big = small("f4").astype(">f4")
    assert is_refused(values=big, filters=[numcodecs.BitRound(3)], zarr_format=2)
    times = small("m8[s]")
    assert is_refused(values=times, filters=[numcodecs.Delta("m8[s]")], zarr_format=2)
    # Booleans do not survive sums.
    assert is_refused(values=small("bool"), filters=[numcodecs.Delta("?")], zarr_format=2)
    for dtype, astype in (("i1", "u8"), ("f4", "u4"), ("i8", "f4")):
        filters = [numcodecs.Delta(dtype, astype)]
        assert is_refused(values=small(dtype), filters=filters, zarr_format=2)
    # Elements of another size, and configurations that Python refuses only with data.
    assert is_refused(values=small("i4"), filters=[numcodecs.Delta("i8")], zarr_format=2)
    filters = [numcodecs.FixedScaleOffset(1000, 1, "u1")]
    assert is_refused(values=small("u1"), filters=filters, zarr_format=2)


def test_a_data_type_of_the_other_byte_order_is_treated_as_by_numcodecs(oracle: Oracle) -> None:
    for config in (
        {"id": "delta", "dtype": "<i4"},
        {"id": "astype", "encode_dtype": ">i8", "decode_dtype": "<i4"},
    ):
        values = small("i4").astype(">i4")
        same_as_zarr(oracle, values, filters=[codec_of(config, 2)], zarr_format=2)


@pytest.mark.parametrize("case", [*ONE_OF_EACH, *DELTAS[-3:]], ids=id_of)
def test_chunks_of_order_f(oracle: Oracle, case: tuple[str, Config]) -> None:
    dtype, config = case
    if config["id"] == "bitround":
        assert is_refused(
            values=small("f4"), filters=[codec_of(config, 2)], zarr_format=2, order="F"
        )
        return
    filters = [codec_of(config, 2)]
    same_as_zarr(oracle, tame(dtype), filters=filters, zarr_format=2, order="F")


@sound_zarr
@pytest.mark.parametrize("case", ONE_OF_EACH, ids=id_of)
def test_big_endian_storage_and_transposition_of_format_3(
    oracle: Oracle, case: tuple[str, Config]
) -> None:
    dtype, config = case
    filters = [TransposeCodec(order=(1, 0)), codec_of(config, 3)]
    serializer = BytesCodec(endian="big")
    options = {"filters": filters, "serializer": serializer, "compressors": [Crc32cCodec()]}
    same_as_zarr(oracle, tame(dtype), **options)


@sound_zarr
def test_a_transposition_behind_each_kind_of_codec(oracle: Oracle) -> None:
    behind = TransposeCodec(order=(1, 0))
    for dtype, config in ONE_OF_EACH:
        filters = [codec_of(config, 3), behind]
        if config["id"] == "packbits":
            continue
        if config["id"] in ("delta", "fixedscaleoffset"):
            assert is_refused(values=tame(dtype), filters=filters)
        else:
            same_as_zarr(oracle, tame(dtype), filters=filters)


@sound_zarr
@pytest.mark.parametrize("case", ONE_OF_EACH, ids=id_of)
def test_each_codec_within_shards(oracle: Oracle, case: tuple[str, Config]) -> None:
    dtype, config = case
    inner = [codec_of(config, 3), BytesCodec(), ZstdCodec()]
    serializer = ShardingCodec(chunk_shape=(2, 5), codecs=inner)
    same_as_zarr(oracle, tame(dtype), equal_bytes=False, serializer=serializer)


def test_codecs_before_a_shard_are_left_to_python() -> None:
    serializer = ShardingCodec(chunk_shape=(2, 5))
    filters = [codec_of({"id": "astype", "encode_dtype": "i2", "decode_dtype": "i4"}, 3)]
    assert is_refused(values=small("i4"), filters=filters, serializer=serializer)


CHAINS: list[tuple[str, list[Config]]] = [
    ("i4", [{"id": "delta", "dtype": "i4"}, {"id": "delta", "dtype": "i4", "astype": "i2"}]),
    ("f8", [
        {"id": "fixedscaleoffset", "offset": 2, "scale": 4, "dtype": "f8", "astype": "i4"},
        {"id": "delta", "dtype": "i4", "astype": "i2"},
    ]),
    ("f8", [{"id": "quantize", "digits": 2, "dtype": "f8"}, {"id": "bitround", "keepbits": 30}]),
    ("f4", [{"id": "bitround", "keepbits": 9}, {"id": "delta", "dtype": "f4"}]),
    ("u1", [{"id": "astype", "encode_dtype": "f8", "decode_dtype": "u1"}]),
]  # fmt: skip


@sound_zarr
@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: "-".join(one["id"] for one in chain[1]))
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chains_of_codecs(
    oracle: Oracle, chain: tuple[str, list[Config]], compressed: bool, zarr_format: Any
) -> None:
    dtype, configs = chain
    compressor: Any = numcodecs.Zstd() if zarr_format == 2 else ZstdCodec()
    options = {
        "filters": [codec_of(config, zarr_format) for config in configs],
        "compressors": compressor if compressed else None,
        "zarr_format": zarr_format,
    }
    same_as_zarr(oracle, tame(dtype), equal_bytes=not compressed, **options)


def test_a_bytes_to_bytes_codec_may_be_a_filter(oracle: Oracle) -> None:
    filters = [numcodecs.Delta("<i4"), numcodecs.Zlib(1)]
    same_as_zarr(oracle, small("i4"), filters=filters, zarr_format=2, equal_bytes=False)


# Every conversion of NumPy


@pytest.mark.parametrize("start", ["bool", *INTEGERS, *FLOATS])
def test_astype_between_all_numbers(oracle: Oracle, start: str) -> None:
    for end in ["bool", *INTEGERS, *FLOATS]:
        config = {"id": "astype", "encode_dtype": end, "decode_dtype": start}
        filters = [codec_of(config, 2)]
        if "u4" in (start, end) and np.dtype(start).kind != np.dtype(end).kind == "f":
            # Decoding would convert a float.
            assert is_refused(values=small(start), filters=filters, zarr_format=2)
        elif end == "u4" and start in FLOATS:
            assert is_refused(values=small(start), filters=filters, zarr_format=2)
        else:
            same_as_zarr(oracle, wild(start), filters=filters, zarr_format=2)


@given(
    values=st.lists(st.floats(width=32), min_size=1, max_size=40),
    dtype=st.sampled_from(FLOATS),
    astype=st.sampled_from(["i1", "i2", "i4", "i8", "u1", "u2", "u8", *FLOATS]),
    offset=st.one_of(st.integers(-1000, 1000), st.floats(-1e9, 1e9)),
    scale=st.one_of(st.integers(-100, 100), st.floats(-1e6, 1e6)),
)
@settings(max_examples=150, deadline=None)
def test_fixedscaleoffset_is_numcodecs(
    values: list[float], dtype: str, astype: str, offset: float, scale: float
) -> None:
    codec = numcodecs.FixedScaleOffset(offset, scale, dtype, astype)
    is_numcodecs(codec, np.array(values).astype(dtype))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("scale", [1, 0.1, 1 / 3])
def test_fixedscaleoffset_of_large_numbers_has_numcodecs_precision(
    dtype: str, scale: float
) -> None:
    # Single-precision arithmetic is wrong by up to 64 here.
    values = (1e9 + 61.0 * np.arange(2000)).astype(dtype)
    for offset in (0, 1e9, 999_999_937):
        codec = numcodecs.FixedScaleOffset(offset, scale, dtype, "i4")
        assert not is_refused(values=values, filters=[codec], zarr_format=2, chunks=values.shape)
        is_numcodecs(codec, values)


@given(data=st.data(), dtype=st.sampled_from([*INTEGERS, *FLOATS]))
@settings(max_examples=150, deadline=None)
def test_delta_is_numcodecs(data: st.DataObject, dtype: str) -> None:
    astype = data.draw(st.sampled_from([*INTEGERS, *FLOATS]))
    raw = data.draw(st.binary(min_size=8, max_size=400))
    values = np.frombuffer(raw[: len(raw) // 8 * 8], dtype)
    is_numcodecs(numcodecs.Delta(dtype, astype), values)


@given(
    values=st.lists(st.floats(width=64), min_size=1, max_size=40),
    dtype=st.sampled_from(FLOATS),
    codec=st.one_of(
        st.builds(numcodecs.BitRound, st.integers(0, 10)),
        st.builds(
            lambda digits, dtype: (digits, dtype), st.integers(-20, 20), st.sampled_from(FLOATS)
        ),
    ),
)
@settings(max_examples=150, deadline=None)
def test_bitround_and_quantize_are_numcodecs(values: list[float], dtype: str, codec: Any) -> None:
    if isinstance(codec, tuple):
        codec = numcodecs.Quantize(codec[0], dtype, codec[1])
    is_numcodecs(codec, np.array(values).astype(dtype))


def is_numcodecs(codec: Any, values: Values) -> None:
    options = {"filters": [codec], "zarr_format": 2, "chunks": values.shape}
    try:
        encoded = bits(codec.encode(values))
    except Exception as error:
        expected = type(error)
    else:
        try:
            ours = written(values, options)
        except zarrs.UnsupportedError:
            return
        assert isinstance(ours, MemoryStore)
        stored = chunks_of(ours)
        if stored:
            kind = codec.encode(values).dtype
            assert bits(np.frombuffer(stored["0"], kind)) == encoded
            decoded = codec.decode(np.frombuffer(stored["0"], "u1")).view(values.dtype)
            assert read(ours) == bits(decoded)
        return
    try:
        assert written(values, options) is expected
    except zarrs.UnsupportedError:
        return


# zarr's own codecs


def own_codec(module: str, name: str) -> Any:
    return getattr(pytest.importorskip(f"zarr.codecs.{module}"), name)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (3, 2), (1, 5), (0, 100), (-2, 1), (2, -1)])
@pytest.mark.parametrize("endian", ["little", "big"])
def test_scale_offset(oracle: Oracle, dtype: str, offset: int, scale: int, endian: Any) -> None:
    if np.dtype(dtype).kind == "u" and min(offset, scale) < 0:
        pytest.skip("not representable: zarr refuses it at creation")
    scale_offset = own_codec("scale_offset", "ScaleOffset")
    for make in (small, tame, wild):
        values = make(dtype)
        if np.dtype(dtype).kind in "iu" and make is tame:
            values = np.maximum(values, np.dtype(dtype).type(3)) // 4 + np.dtype(dtype).type(4)
        options = {"filters": [scale_offset(offset=offset, scale=scale)], "fill_value": 4}
        same_as_zarr(oracle, values, serializer=BytesCodec(endian=endian), **options)


def test_scale_offset_refuses_stored_integers_that_are_not_multiples(oracle: Oracle) -> None:
    scale_offset = own_codec("scale_offset", "ScaleOffset")
    options = {"filters": [scale_offset(offset=0, scale=3)]}
    for dtype in INTEGERS:
        store = written(np.ones(SHAPE, dtype), options)
        assert isinstance(store, MemoryStore)
        key = "c/0/0"
        broken = bytearray(chunks_of(store)[key])
        broken[-1] ^= 1
        store._store_dict[key] = Buffer.from_bytes(bytes(broken))
        with oracle():
            expected = read(store)
        assert read(store) is expected is ValueError


ROUNDINGS = ["nearest-even", "towards-zero", "towards-positive", "towards-negative", "nearest-away"]


@pytest.mark.parametrize("start", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("end", ["int8", "uint16", "int32", "uint64", "float16", "float32"])
def test_cast_value(oracle: Oracle, start: str, end: str) -> None:
    cast_value = own_codec("cast_value", "CastValue")
    pytest.importorskip("cast_value_rs")
    for rounding, out_of_range in itertools.product(ROUNDINGS, [None, "clamp", "wrap"]):
        if out_of_range == "wrap" and end.startswith("f"):
            continue
        codec = cast_value(data_type=end, rounding=rounding, out_of_range=out_of_range)
        for make in (tame, wild) if out_of_range else (small,):
            values = make(start)
            if out_of_range == "wrap":
                values = values[np.newaxis, np.isfinite(values)][0][:40].reshape(4, 10)
            same_as_zarr(oracle, values, filters=[codec])


@pytest.mark.parametrize("start", ["f4", "f8", "f2"])
def test_cast_value_with_scalar_maps(oracle: Oracle, start: str) -> None:
    cast_value = own_codec("cast_value", "CastValue")
    pytest.importorskip("cast_value_rs")
    maps = {
        "encode": [("NaN", 255), ("Infinity", 254), ("-Infinity", 253)],
        "decode": [(255, "NaN"), (254, "Infinity"), (253, "-Infinity"), (7, 7.5)],
    }
    codec = cast_value(data_type="uint8", out_of_range="clamp", scalar_map=maps)
    for make in (small, wild):
        same_as_zarr(oracle, make(start), filters=[codec])
        same_as_zarr(oracle, make(start), filters=[codec], serializer=BytesCodec(endian="big"))


# pcodec


def pcodecs() -> list[Config]:
    return [
        {"id": "pcodec"},
        {"id": "pcodec", "level": 0},
        {"id": "pcodec", "level": 12, "mode_spec": "classic"},
        {"id": "pcodec", "delta_spec": "no_op"},
        {"id": "pcodec", "delta_spec": "try_lookback"},
        {"id": "pcodec", "delta_spec": "try_consecutive", "delta_encoding_order": 2},
        {"id": "pcodec", "delta_encoding_order": 1, "equal_pages_up_to": 7},
        {"id": "pcodec", "level": 13},
    ]


@sound_zarr
@pytest.mark.parametrize("dtype", ["i2", "i4", "i8", "u2", "u4", "u8", *FLOATS, "M8[s]", "u1"])
@pytest.mark.parametrize(
    "config", pcodecs(), ids=lambda config: "-".join(map(str, config.values()))
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_pcodec(oracle: Oracle, dtype: str, config: Config, zarr_format: Any) -> None:
    pytest.importorskip("pcodec")
    codec = codec_of(config, zarr_format)
    options: dict[str, Any] = {"serializer": codec}
    if zarr_format == 2:
        options = {"compressors": codec, "zarr_format": 2}
    for make in (small, tame, wild):
        same_as_zarr(oracle, make(dtype), equal_bytes=False, **options)


@sound_zarr
@pytest.mark.filterwarnings("ignore:delta_spec='none'")
@pytest.mark.parametrize("steps", [[], [ZstdCodec()]], ids=["alone", "zstd"])
@pytest.mark.parametrize(
    ("dtype", "config"),
    [
        ("f8", {"delta_spec": "none"}),
        ("i4", {"level": True}),
        ("i4", {"level": "3"}),
        ("f8", {"mode_spec": "nope"}),
        *((dtype, {}) for dtype in ("?", "i1", "c8", ">f8", ">i4", ">M8[s]", "U2")),
    ],
)
def test_pcodec_configurations_without_a_native_step_are_python_steps_by_themselves_too(
    oracle: Oracle, dtype: str, config: Config, steps: Any
) -> None:
    pytest.importorskip("pcodec")
    codec = codec_of({"id": "pcodec", **config}, 3)
    times = np.dtype(dtype).kind == "M"
    values = np.arange(1, 9).astype("i8" if times else dtype).astype(dtype)

    def run() -> list[Any]:
        array = zarr.create_array(
            {}, shape=8, chunks=4, dtype=dtype, serializer=codec, compressors=steps
        )
        results: list[Any] = []
        for action in (
            lambda: array[:].tolist(),
            lambda: array.__setitem__(slice(None), values),
            lambda: array[2:6].tolist(),
            # Dates are decoded in the other byte order; zarr swaps them once more when it merges.
            *([] if times else [lambda: array.__setitem__(slice(1, 3), values[0])]),
            lambda: array[:].tolist(),
        ):
            try:
                results.append(action())
            except Exception as error:
                results.append(type(error))
        return [zarrs.explain(array).native or "oracle", *results]

    with oracle():
        expected = run()[1:]
    native, *actual = run()
    assert native is True
    assert actual == expected


@sound_zarr
def test_pcodec_within_shards_and_under_other_codecs(oracle: Oracle) -> None:
    pytest.importorskip("pcodec")
    codec = codec_of({"id": "pcodec"}, 3)
    serializer = ShardingCodec(chunk_shape=(2, 5), codecs=[codec, Crc32cCodec()])
    same_as_zarr(oracle, tame("f8"), equal_bytes=False, serializer=serializer)
    filters = [codec_of({"id": "bitround", "keepbits": 5}, 3), TransposeCodec(order=(1, 0))]
    options = {"filters": filters, "serializer": codec, "compressors": [ZstdCodec()]}
    same_as_zarr(oracle, tame("f4"), equal_bytes=False, **options)


def test_pcodec_data_of_another_type_is_viewed_in_format_2_and_converted_in_format_3(
    oracle: Oracle,
) -> None:
    pcodec = pytest.importorskip("numcodecs.pcodec")
    stored = pcodec.PCodec().encode(np.arange(40, dtype="u4"))
    for zarr_format, key in ((2, "0.0"), (3, "c/0/0")):
        codec = codec_of({"id": "pcodec"}, zarr_format)
        options: dict[str, Any] = {"serializer": codec}
        if zarr_format == 2:
            options = {"compressors": codec, "zarr_format": 2}
        store = written(small("f4"), options)
        assert isinstance(store, MemoryStore)
        store._store_dict[key] = Buffer.from_bytes(stored)
        with oracle():
            expected = read(store)
        assert isinstance(expected, bytes)
        assert read(store) == expected


def test_many_numbers_in_one_chunk(oracle: Oracle) -> None:
    values = np.random.default_rng(5).integers(-50, 50, (300, 100)).cumsum(0)
    for config in ({"id": "delta", "dtype": "i8", "astype": "i4"}, {"id": "pcodec"}):
        options: dict[str, Any] = {"chunks": (200, 100)}
        codec = codec_of(config, 3)
        options |= {"serializer": codec} if config["id"] == "pcodec" else {"filters": [codec]}
        same_as_zarr(oracle, values, equal_bytes=config["id"] != "pcodec", **options)


# Damage


def damaged(stored: bytes) -> list[bytes]:
    longer = [stored + b"\0", stored + bytes(8), 2 * stored]
    shorter = [stored[:count] for count in (0, 1, 2, len(stored) // 2, len(stored) - 1)]
    flipped = []
    for position in range(min(len(stored), 60)):
        one = bytearray(stored)
        one[position] ^= 1 << (position * 5 % 8)
        flipped.append(bytes(one))
    return [*longer, *shorter, *flipped]


@sound_zarr
@pytest.mark.parametrize(
    "case", [*ONE_OF_EACH, ("i4", {"id": "pcodec"}), ("f8", {"id": "pcodec"})], ids=id_of
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_damaged_chunk_raises_zarrs_exception(
    oracle: Oracle, case: tuple[str, Config], zarr_format: Any
) -> None:
    dtype, config = case
    codec = codec_of(config, zarr_format)
    options: dict[str, Any] = {"filters": [codec], "zarr_format": zarr_format}
    if config["id"] == "pcodec":
        pytest.importorskip("pcodec")
        options = (
            {"serializer": codec} if zarr_format == 3 else {"compressors": codec, "zarr_format": 2}
        )
    store = written(tame(dtype), options)
    assert isinstance(store, MemoryStore)
    key = "0.0" if zarr_format == 2 else "c/0/0"
    for one in damaged(chunks_of(store)[key]):
        store._store_dict[key] = Buffer.from_bytes(one)
        with oracle():
            expected = read(store)
        assert read(store) == expected, one


def test_a_pcodec_file_that_declares_many_numbers_allocates_no_memory_for_them(
    oracle: Oracle,
) -> None:
    pcodec = pytest.importorskip("numcodecs.pcodec")
    many = pcodec.PCodec().encode(np.zeros(1 << 22, "i8"))
    assert len(many) < 10_000
    store = written(small("i8"), {"compressors": codec_of({"id": "pcodec"}, 2), "zarr_format": 2})
    assert isinstance(store, MemoryStore)
    store._store_dict["0.0"] = Buffer.from_bytes(many)
    with oracle():
        expected = read(store)
    assert read(store) is expected is ValueError


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_pcodec_with_empty_pages_is_an_error_without_a_panic(
    zarr_format: int, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("numcodecs.pcodec")
    codec = codec_of({"id": "pcodec", "equal_pages_up_to": 0}, zarr_format)
    role = "compressors" if zarr_format == 2 else "serializer"
    options: dict[str, Any] = {"zarr_format": zarr_format, role: codec}
    if zarr_format == 3:
        options["compressors"] = None
    assert written(small("f8"), options) is RuntimeError
    assert "panicked" not in capfd.readouterr().err


def test_pcodec_with_pages_of_one_number_is_read_through_a_compressor(oracle: Oracle) -> None:
    pytest.importorskip("numcodecs.pcodec")
    serializer = codec_of({"id": "pcodec", "equal_pages_up_to": 1}, 3)
    options: dict[str, Any] = {"serializer": serializer, "shape": (100_000,), "dtype": "i2"}
    values = np.random.default_rng(0).integers(-30_000, 30_000, 100_000, "i2")
    store = MemoryStore()
    array = zarr.create_array(
        store, chunks=(100_000,), compressors=zarr.codecs.ZstdCodec(level=1), **options
    )
    array[:] = values
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], values)
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], values)
