"""numcodecs' compressors, checksums and shuffle in both formats (``codec_table``): zarr writes and zarrs reads, zarrs
writes and zarr reads, damaged bytes are read or refused as by zarr, decompression bombs stay bounded.

zarr's own codecs are in test_codecs.py, damaged blosc chunks in test_errors.py: numcodecs itself reads past its buffers there.
"""

from __future__ import annotations

import asyncio
import bz2
import lzma
import multiprocessing
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.abc.codec import ArrayArrayCodec
from zarr.codecs import BytesCodec, ShardingCodec, TransposeCodec
from zarr.codecs._v2 import V2Codec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import cpu, default_buffer_prototype
from zarr.registry import get_pipeline_class
from zarr.storage import MemoryStore

import zarrs
from support.codec_table import HAS_WRAPPERS, TABLE, Entry
from zarrs._codecs.bytes_to_bytes import bytes_step, wrapped_step
from zarrs._codecs.chain import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from zarr.abc.store import Store

    ChunksIn = Callable[[Store], dict[str, bytes]]
    Oracle = Callable[[], Any]

# zarr warns whenever one of its classes for format 3 is instantiated.
pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3")
needs_wrappers = pytest.mark.skipif(not HAS_WRAPPERS, reason="this zarr has no such classes")

SHAPE, CHUNKS = (5, 6, 8), (2, 6, 4)
PART = (slice(1, 4), slice(2, 6), slice(0, 6, 2))


def values_of(dtype: str) -> npt.NDArray[Any]:
    return (np.arange(240) // 3 * 7).astype(dtype).reshape(SHAPE)


def both_ways(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    values: npt.NDArray[Any],
    *,
    equal_bytes: bool,
    **options: Any,
) -> None:
    options = {"shape": SHAPE, "chunks": CHUNKS, "dtype": values.dtype} | options
    ours, theirs = make_store(), make_store()
    with oracle():
        zarr.create_array(theirs, **options)[...] = values
    zarr.create_array(ours, **options)[...] = values
    if equal_bytes:
        assert chunks_in(ours) == chunks_in(theirs)
    assert chunks_in(ours).keys() == chunks_in(theirs).keys()
    read = zarr.open_array(theirs, mode="r+")
    np.testing.assert_array_equal(read[...], values)
    np.testing.assert_array_equal(read[PART], values[PART])
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(ours, mode="r")[...], values)
    changed = values.copy()
    read[PART] = changed[PART] = values[PART] + values.dtype.type(1)
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(theirs, mode="r")[...], changed)


@pytest.mark.parametrize("entry", TABLE, ids=str)
def test_every_codec_both_ways_with_zarr(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, entry: Entry
) -> None:
    for dtype in entry.data_types:
        both_ways(
            make_store,
            oracle,
            chunks_in,
            values_of(dtype),
            equal_bytes=entry.equal_bytes,
            zarr_format=entry.zarr_format,
            compressors=entry.factory(),
        )


IN_FORMAT_3 = [entry for entry in TABLE if entry.zarr_format == 3]


@needs_wrappers
@pytest.mark.parametrize("entry", IN_FORMAT_3, ids=str)
def test_every_codec_inside_shards(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, entry: Entry
) -> None:
    for dtype in entry.data_types[1:3]:
        serializer = ShardingCodec(
            chunk_shape=(1, 3, 4), codecs=[BytesCodec(endian="big"), entry.factory()]
        )
        both_ways(
            make_store,
            oracle,
            chunks_in,
            values_of(dtype),
            equal_bytes=entry.equal_bytes,
            serializer=serializer,
            compressors=None,
        )


@needs_wrappers
def test_chains_of_codecs(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn
) -> None:
    from zarr.codecs import numcodecs as wrappers

    chains = [
        [wrappers.Shuffle(), wrappers.LZ4(), wrappers.CRC32()],
        [wrappers.Adler32(), wrappers.Fletcher32(), wrappers.JenkinsLookup3()],
        [wrappers.Zlib(), wrappers.BZ2(), wrappers.LZMA(), wrappers.CRC32C()],
    ]
    for chain in chains:
        both_ways(
            make_store,
            oracle,
            chunks_in,
            values_of("int32"),
            equal_bytes=False,
            filters=[TransposeCodec(order=(2, 0, 1))],
            compressors=chain,
        )


@needs_wrappers
@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "Adler32", "Fletcher32", "JenkinsLookup3"])
@pytest.mark.parametrize("location", ["start", "end"])
def test_checksums_of_shard_indexes(
    make_store: Callable[[], Store],
    oracle: Oracle,
    chunks_in: ChunksIn,
    name: str,
    location: Any,
) -> None:
    from zarr.codecs import numcodecs as wrappers

    serializer = ShardingCodec(
        chunk_shape=(1, 3, 4),
        codecs=[BytesCodec()],
        index_codecs=[BytesCodec(), getattr(wrappers, name)()],
        index_location=location,
    )
    both_ways(
        make_store,
        oracle,
        chunks_in,
        values_of("int32"),
        equal_bytes=True,
        serializer=serializer,
        compressors=None,
    )


@pytest.mark.parametrize("dtype", ["bool", "U3", "S5", "M8[s]", ">i4", ">f8"])
def test_codecs_of_format_2_see_the_item_size_of_any_data_type(
    make_store: Callable[[], Store], oracle: Oracle, chunks_in: ChunksIn, dtype: str
) -> None:
    values = np.arange(240).astype(dtype).reshape(SHAPE)
    for compressor in (
        numcodecs.LZ4(),
        numcodecs.Blosc(shuffle=-1),
        numcodecs.Shuffle(values.itemsize),
        numcodecs.Fletcher32(),
        numcodecs.BZ2(),
        numcodecs.LZMA(),
    ):
        options = {"shape": SHAPE, "chunks": CHUNKS, "dtype": dtype, "zarr_format": 2}
        ours, theirs = make_store(), make_store()
        with oracle():
            zarr.create_array(theirs, compressors=compressor, **options)[...] = values
        zarr.create_array(ours, compressors=compressor, **options)[...] = values
        np.testing.assert_array_equal(zarr.open_array(theirs, mode="r")[...], values)
        with oracle():
            np.testing.assert_array_equal(zarr.open_array(ours, mode="r")[...], values)


# -- damaged bytes ----------------------------------------------------------------------------------


def flipped(data: bytes, position: int, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[position] ^= 1 << bit
    return bytes(damaged)


def damages(sound: bytes, encode: Callable[[bytes], bytes], length: int) -> Iterator[bytes]:
    """Truncated, flipped and lengthened bytes, other sizes, and headers that declare far too much."""
    cuts = {*range(14), len(sound) // 2, *(len(sound) - end for end in (1, 2, 4, 5, 8, 12))}
    yield from (sound[:cut] for cut in sorted(cuts) if 0 <= cut < len(sound))
    places = sorted({*range(min(32, len(sound))), *range(0, len(sound), max(len(sound) // 60, 1))})
    yield from (flipped(sound, place, place * 5 % 8) for place in places)
    tails = [b"\0", b"B", b"\0" * 13, b"\xff" * 13, sound, sound[: len(sound) // 2]]
    yield from (sound + tail for tail in tails)
    yield from (bytes(len(sound)), b"\xff" * len(sound))
    for announced in (2**31 - 1, 2**31, 2**32 - 1, length * 3, length - 1):
        yield announced.to_bytes(4, "little") + sound[4:]
    for other in (length // 4 * 2, length * 2, length * 40):
        yield encode(bytes(range(256)) * (other // 256) + bytes(other % 256))


def outcome(array: Any) -> tuple[str, Any]:
    try:
        return "read", array[...].tobytes()
    except Exception as error:
        return "raised", type(error).__name__


@pytest.mark.parametrize("entry", [e for e in TABLE if "blosc" not in e.name], ids=str)
def test_a_damaged_chunk_is_read_or_refused_as_by_zarr(oracle: Oracle, entry: Entry) -> None:
    values = values_of("int16")
    store = MemoryStore()
    options = {"shape": SHAPE, "chunks": SHAPE, "dtype": "int16", "zarr_format": entry.zarr_format}
    with oracle():
        theirs = zarr.create_array(store, compressors=entry.factory(), **options)
        theirs[...] = values
    ours = zarr.open_array(store, mode="r")
    key = "0.0.0" if entry.zarr_format == 2 else "c/0/0/0"
    codec = entry.factory()
    codec = codec if entry.zarr_format == 2 else codec._codec

    def encode(data: bytes) -> bytes:
        return bytes(codec.encode(np.frombuffer(data, "uint8")))

    sound = store._store_dict[key].to_bytes()
    for damaged in damages(sound, encode, values.nbytes):
        store._store_dict[key] = cpu.Buffer.from_bytes(damaged)
        with oracle():
            expected = outcome(theirs)
        found = outcome(ours)
        assert found == expected, damaged.hex()


def test_an_error_names_the_chunk(store: Store) -> None:
    array = zarr.create_array(
        store, shape=(8,), chunks=(4,), dtype="u1", zarr_format=2, compressors=numcodecs.CRC32()
    )
    array[...] = np.arange(8)
    buffer = cpu.Buffer.from_bytes(b"\0\0\0\0abcd")
    asyncio.run(store.set("1", buffer))
    np.testing.assert_array_equal(array[:4], np.arange(4))
    with pytest.raises(RuntimeError, match=r"chunk 1: crc32 .*0x00000000.*0xed82cd11"):
        array[...]


@pytest.mark.parametrize("entry", [e for e in TABLE if e.checksum], ids=str)
def test_verification_of_checksums_can_be_disabled(entry: Entry) -> None:
    store = MemoryStore()
    options = {"shape": (6,), "chunks": (6,), "dtype": "int16", "zarr_format": entry.zarr_format}
    array = zarr.create_array(store, compressors=entry.factory(), **options)
    array[...] = np.arange(6)
    key = "0" if entry.zarr_format == 2 else "c/0"
    sound = store._store_dict[key].to_bytes()
    at_start = entry.factory().to_dict() if entry.zarr_format == 3 else entry.factory().get_config()
    at_start = at_start.get("configuration", at_start).get("location")
    default = "start" if entry.name.endswith(("crc32", "adler32")) else "end"
    position = 0 if (at_start or default) == "start" else -1
    store._store_dict[key] = cpu.Buffer.from_bytes(flipped(sound, position, 3))
    with pytest.raises(RuntimeError):
        array[...]
    with zarr.config.set({"codec_pipeline.validate_checksums": False}):
        np.testing.assert_array_equal(array[...], np.arange(6))


# -- decompression bombs ----------------------------------------------------------------------------


def lz4_of_a_gb() -> bytes:
    # One zero, a match that repeats it, and the five literals that end a block.
    steps = 1 << 22
    run = b"\x1f\0\1\0" + b"\xff" * steps + b"\0" + b"\x50abcde"
    return (1 + 15 + 4 + 255 * steps + 5).to_bytes(4, "little") + run


BOMBS: dict[str, tuple[Callable[[], Any], Callable[[], bytes]]] = {
    "bz2": (numcodecs.BZ2, lambda: bz2.compress(bytes(1 << 25), 9) * 32),
    "lzma": (numcodecs.LZMA, lambda: lzma.compress(bytes(1 << 25), preset=1) * 16),
    "lz4": (numcodecs.LZ4, lz4_of_a_gb),
    "lz4_announced": (numcodecs.LZ4, lambda: (2**31 - 1).to_bytes(4, "little") + b"\x10a"),
    "zlib": (numcodecs.Zlib, lambda: zlib.compress(bytes(1 << 28), 1)),
}


def read_bomb(name: str, data: bytes) -> tuple[str, int]:
    """The error's class, and by how many bytes the peak memory of the process grew."""
    import resource

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    zarr.config.set({"codec_pipeline.strict": True})
    store = MemoryStore()
    options: dict[str, Any] = {"shape": (300,), "chunks": (300,), "dtype": "u1", "zarr_format": 2}
    array = zarr.create_array(store, compressors=BOMBS[name][0](), **options)
    array[...] = 7
    array[...]
    store._store_dict["0"] = cpu.Buffer.from_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    raised = outcome(array)[1]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return raised, (after - before) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb_is_refused_in_bounded_memory(name: str) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        raised, growth = pool.submit(read_bomb, name, BOMBS[name][1]()).result(60)
    assert raised == ("RuntimeError" if name == "lz4_announced" else "ValueError")
    assert growth < 64 << 20


def test_a_bz2_block_that_is_both_damaged_and_too_long_is_reported_as_damaged(
    oracle: Oracle,
) -> None:
    store = MemoryStore()
    options: dict[str, Any] = {"shape": (300,), "chunks": (300,), "dtype": "u1", "zarr_format": 2}
    zarr.create_array(store, compressors=numcodecs.BZ2(), **options)
    data = bytearray(bz2.compress(bytes(1 << 23), 9))
    # A flipped bit in the checksum of the only block.
    data[10] ^= 1
    store._store_dict["0"] = cpu.Buffer.from_bytes(bytes(data))
    with oracle():
        expected = outcome(zarr.open_array(store, mode="r"))
    assert expected[1] == "OSError"
    assert outcome(zarr.open_array(store, mode="r")) == expected


# -- native and Python steps ------------------------------------------------------------------------

BYTE = np.dtype("uint8")


def test_a_subclass_runs_as_itself(store: Store) -> None:
    class Subclass(numcodecs.LZ4):  # type: ignore[misc]
        pass

    assert bytes_step(numcodecs.LZ4(), BYTE) == Step("lz4", {"acceleration": 1})
    assert bytes_step(Subclass(), BYTE) is None
    array = zarr.create_array(
        store, shape=(4,), chunks=(4,), dtype="u1", zarr_format=2, compressors=Subclass()
    )
    array[...] = 1
    assert array[:].tolist() == [1, 1, 1, 1]
    assert zarrs.explain(array).steps == (("Subclass", "Python"),)


@pytest.mark.parametrize(
    "codec",
    [
        numcodecs.LZ4(acceleration=2**31),
        numcodecs.BZ2(level="9"),
        numcodecs.LZMA(format=4),
        numcodecs.LZMA(filters="xz"),
        numcodecs.LZMA(format=3, filters=[{"id": lzma.FILTER_LZMA2, "level": 1}]),
        numcodecs.LZMA(format=3, filters=[{"id": 99}]),
        numcodecs.LZMA(format=3, filters=[{"id": lzma.FILTER_DELTA, "dist": -1}]),
        numcodecs.JenkinsLookup3(initval=-1),
        numcodecs.Shuffle(elementsize=None),
        numcodecs.Delta(dtype="u1"),
    ],
    ids=repr,
)
def test_unusual_configurations_are_left_to_numcodecs(codec: Any) -> None:
    assert bytes_step(codec, BYTE) is None


def test_blosc_shuffles_by_its_own_type_size_before_the_items() -> None:
    def type_size(codec: Any, dtype: str) -> Any:
        step = bytes_step(codec, np.dtype(dtype))
        assert step is not None
        return step.configuration["typesize"]

    assert type_size(numcodecs.Blosc(), "float64") == 8
    assert type_size(numcodecs.Blosc(), "U3") == 12
    assert type_size(numcodecs.Blosc(typesize=3), "float64") == 3


@needs_wrappers
def test_a_python_codec_under_numcodecs_name_runs_itself() -> None:
    from zarr.codecs import numcodecs as wrappers

    class LZ4(wrappers.LZ4):  # type: ignore[misc]
        pass

    assert wrapped_step(wrappers.LZ4()) == Step("lz4", {"acceleration": 1})
    assert wrapped_step(LZ4()) is None
    assert wrapped_step(wrappers.Delta(dtype="i4")) is None


# Codec and data type → configurations that numcodecs refuses, on instantiation or when it encodes.
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("BitRound", {"keepbits": -1}, "f8"),
    ("BitRound", {"keepbits": "3"}, "f8"),
    ("BitRound", {"keepbits": 1.5}, "f8"),
    ("BitRound", {"keepbits": None}, "f8"),
    ("BitRound", {"keepbits": 10**12}, "f8"),
    ("Quantize", {"digits": 2, "dtype": "i4"}, "i4"),
    ("Quantize", {"digits": None}, "f8"),
    ("Quantize", {"digits": "x"}, "f8"),
    ("Delta", {}, "f8"),
    ("Delta", {"dtype": "nope"}, "f8"),
    ("PackBits", {"x": 1}, "bool"),
    ("FixedScaleOffset", {}, "f8"),
    ("FixedScaleOffset", {"offset": 1, "scale": "x", "dtype": "f8"}, "f8"),
    ("AsType", {"encode_dtype": "i4", "decode_dtype": "nope"}, "f8"),
    ("Blosc", {"cname": "nope"}, "f8"),
    ("Blosc", {"cname": None}, "f8"),
    ("Blosc", {"clevel": 11}, "f8"),
    ("Blosc", {"shuffle": None}, "f8"),
    ("Zstd", {"level": "x"}, "f8"),
    ("LZ4", {"speed": 1}, "f8"),
    ("LZMA", {"format": 77}, "f8"),
    ("CRC32", {"location": "x"}, "f8"),
    ("JenkinsLookup3", {"initval": "x"}, "f8"),
    ("PCodec", {"level": None}, "f8"),
]


@needs_wrappers
@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_configuration_is_refused_when_zarr_refuses_it(
    oracle: Oracle, wrong: Any, zarr_format: Any, shards: bool
) -> None:
    from zarr.codecs import numcodecs as wrappers

    name, configuration, dtype = wrong
    if name == "PCodec":
        pytest.importorskip("pcodec")
    if zarr_format == 2 and shards:
        pytest.skip("format 2 has no shards")

    def options() -> dict[str, Any]:
        if zarr_format == 2:
            codec = numcodecs.get_codec({"id": name.lower(), **configuration})
            return {"zarr_format": 2, "filters": [codec], "compressor": None}
        codec = getattr(wrappers, name)(**configuration)
        codecs = [codec] if name == "PCodec" else [BytesCodec()]
        if isinstance(codec, ArrayArrayCodec):
            codecs = [codec, *codecs]
        elif name != "PCodec":
            codecs = [*codecs, codec]
        return {"codecs": [ShardingCodec(chunk_shape=(2,), codecs=codecs)] if shards else codecs}

    def run() -> list[Any]:
        results: list[Any] = []
        try:
            array = zarr.create(store={}, shape=(8,), chunks=(4,), dtype=dtype, **options())
        except Exception as error:
            return [type(error)]
        for action in (
            lambda: array[:].tolist(),
            lambda: array.__setitem__(slice(None), np.arange(1, 9).astype(dtype)),
            lambda: array.__setitem__(slice(1, 3), np.ones((), dtype)),
            lambda: array[:].tolist(),
        ):
            try:
                results.append(action())
            except Exception as error:
                results.append(type(error))
        return results

    with oracle():
        expected = run()
    assert run() == expected


def test_a_prefix_of_bytes_is_included_in_the_hash(oracle: Oracle) -> None:
    # JSON metadata cannot hold bytes, so the pipeline is built by hand.
    prototype = default_buffer_prototype()
    zdtype = zarr.create_array({}, shape=(1,), dtype="int16").metadata.data_type
    config = ArrayConfig.from_dict({"order": "C"})
    spec = ArraySpec((50,), zdtype, zdtype.cast_scalar(0), config, prototype)
    codecs = [V2Codec(filters=None, compressor=numcodecs.JenkinsLookup3(3, b"0123456789abcde"))]
    value = prototype.nd_buffer.from_numpy_array(np.arange(50, dtype="int16"))
    ours = get_pipeline_class().from_codecs(codecs)
    with oracle():
        theirs = get_pipeline_class().from_codecs(codecs)
    (expected,) = asyncio.run(theirs.encode([(value, spec)]))
    (found,) = asyncio.run(ours.encode([(value, spec)]))
    assert found is not None
    assert expected is not None
    assert found.to_bytes() == expected.to_bytes()
    (decoded,) = asyncio.run(ours.decode([(expected, spec)]))
    assert decoded is not None
    np.testing.assert_array_equal(decoded.as_numpy_array(), np.arange(50))
