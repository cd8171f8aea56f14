"""Damaged chunks: zarr's own exception class, the chunk key in the message, bounded memory, no crash.

Each pipeline reads in a separate process, so that a crash on damaged bytes does not end the test run.
Faults of the file system are in test_faults.py.
"""

from __future__ import annotations

import gzip
import multiprocessing
import resource
import struct
import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.core.buffer import cpu
from zarr.core.sync import sync
from zarr.storage import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHAPE, CHUNKS = (24, 16), (12, 16)
DATA = np.random.default_rng(7).integers(0, 50, SHAPE).astype("int32")
ZARRS_OWN = "zarr.core.codec_pipeline.BatchedCodecPipeline"
LITTLE = BytesCodec(endian="little")


def sharded(*codecs: Any, **more: Any) -> dict[str, Any]:
    serializer = ShardingCodec(chunk_shape=(4, 8), codecs=[LITTLE, *codecs], **more)
    return {"serializer": serializer, "compressors": None}


def blosc(name: Any) -> BloscCodec:
    return BloscCodec(cname=name, shuffle="shuffle", typesize=4)


V2 = {"zarr_format": 2}
CODINGS: dict[str, dict[str, Any]] = {
    "raw": {"compressors": None},
    "zstd": {"compressors": ZstdCodec()},
    "zstd_checksum": {"compressors": ZstdCodec(checksum=True)},
    "gzip": {"compressors": GzipCodec()},
    "blosc_lz4": {"compressors": blosc("lz4")},
    "blosc_zstd": {"compressors": blosc("zstd")},
    "zstd_gzip": {"compressors": [ZstdCodec(), GzipCodec()]},
    "crc32c": {"compressors": Crc32cCodec()},
    "zstd_crc32c": {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "sharded_raw": sharded(),
    "sharded_zstd": sharded(ZstdCodec()),
    "sharded_gzip": sharded(GzipCodec()),
    "sharded_blosc": sharded(blosc("lz4")),
    "sharded_crc32c": sharded(Crc32cCodec()),
    "sharded_index_at_start": sharded(ZstdCodec(), index_location="start"),
    "v2_raw": {**V2, "compressors": None},
    "v2_zlib": {**V2, "compressors": numcodecs.Zlib()},
    "v2_gzip": {**V2, "compressors": numcodecs.GZip()},
    "v2_zstd": {**V2, "compressors": numcodecs.Zstd()},
    "v2_blosc": {**V2, "compressors": numcodecs.Blosc()},
}


def flipped(data: bytes, position: int) -> bytes:
    damaged = bytearray(data)
    damaged[position] ^= 0x10
    return bytes(damaged)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "one_byte": lambda data: data[:1],
    "seven_bytes": lambda data: data[:7],
    "first_half": lambda data: data[: len(data) // 2],
    "last_byte_gone": lambda data: data[:-1],
    "last_eight_gone": lambda data: data[:-8],
    "one_byte_more": lambda data: data + b"\0",
    "four_bytes_more": lambda data: data + b"\1\2\3\4",
    "twice": lambda data: data + data,
    "zeros": lambda data: bytes(len(data)),
    "ones": lambda data: b"\xff" * len(data),
    "first_flipped": lambda data: flipped(data, 0),
    "third_flipped": lambda data: flipped(data, 2),
    "sixth_flipped": lambda data: flipped(data, 5),
    "middle_flipped": lambda data: flipped(data, len(data) // 2),
    "fifth_last_flipped": lambda data: flipped(data, -5),
    "last_flipped": lambda data: flipped(data, -1),
}
MISSING = 2**64 - 1


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


SUBCHUNKS = 6


def index_with(first: Callable[[bytes, tuple[int, int]], tuple[int, int]]) -> Callable[..., bytes]:
    """A damage that changes the first subchunk's entry in the index; the index keeps a valid checksum."""

    def damage(shard: bytes, at_start: bool) -> bytes:
        length = 16 * SUBCHUNKS
        index = shard[:length] if at_start else shard[-length - 4 : -4]
        entries = list(struct.unpack(f"<{2 * SUBCHUNKS}Q", index))
        entries[:2] = first(shard, (entries[2], entries[3]))
        index = struct.pack(f"<{2 * SUBCHUNKS}Q", *entries)
        index += struct.pack("<I", crc32c(index))
        return index + shard[length + 4 :] if at_start else shard[: -length - 4] + index

    return damage


# Each function takes the shard and the second subchunk's (offset, size).
INDEX_DAMAGES: dict[str, Callable[[bytes, bool], bytes]] = {
    "sum_overflows": index_with(lambda shard, second: (MISSING - 1, 100)),
    "sum_overflows_to_inside": index_with(lambda shard, second: (MISSING - 99, 200)),
    "size_of_2_62": index_with(lambda shard, second: (0, 2**62)),
    "size_of_2_40": index_with(lambda shard, second: (0, 2**40)),
    "offset_of_2_63": index_with(lambda shard, second: (2**63, second[1])),
    "behind_the_end": index_with(lambda shard, second: (len(shard), second[1])),
    "across_the_end": index_with(lambda shard, second: (len(shard) - 10, second[1])),
    "inside_the_index": index_with(lambda shard, second: (len(shard) - 80, 72)),
    "overlapping": index_with(lambda shard, second: second),
    "size_less_one": index_with(lambda shard, second: (second[0], second[1] - 1)),
    "size_more_one": index_with(lambda shard, second: (second[0], second[1] + 1)),
    "of_no_size": index_with(lambda shard, second: (second[0], 0)),
    "offset_missing": index_with(lambda shard, second: (MISSING, second[1])),
    "size_missing": index_with(lambda shard, second: (second[0], MISSING)),
    "first_missing": index_with(lambda shard, second: (MISSING, MISSING)),
}
SELECTIONS: dict[str, Any] = {
    "whole": (slice(None), slice(None)),
    "part": (slice(5, 7), slice(2, 6)),
    "rows": ([3, 1], slice(None)),
}
OWN = "zarr.core.codec_pipeline.BatchedCodecPipeline"
# From files first, then from memory.
READS = [(store, name) for store in ("files", "memory") for name in SELECTIONS]


def chunk_key(coding: str) -> str:
    return "0.0" if coding.startswith("v2") else "c/0/0"


def read(pipeline: str, root: str, coding: str, damage: str) -> list[tuple[str, Any, str]]:
    """For each of READS ("raised", class, message) or ("read", bytes, ""). Runs in a subprocess."""
    strict = {"codec_pipeline.strict": True, "codec_pipeline.max_workers": 2}
    zarr.config.set({"codec_pipeline.path": pipeline, **strict})
    directory = Path(root) / coding
    chunk = directory / chunk_key(coding)
    if not directory.exists():
        more = CODINGS[coding]
        # Both pipelines read the same bytes, written by zarr, since encoders differ.
        with zarr.config.set({"codec_pipeline.path": OWN}):
            array = zarr.create_array(directory, shape=SHAPE, chunks=CHUNKS, dtype="int32", **more)
            array[:] = DATA
        (directory / "sound").write_bytes(chunk.read_bytes())
    sound = (directory / "sound").read_bytes()
    if damage in DAMAGES:
        chunk.write_bytes(DAMAGES[damage](sound))
    else:
        chunk.write_bytes(INDEX_DAMAGES[damage](sound, coding == "sharded_index_at_start"))
    files = [path for path in directory.rglob("*") if path.is_file()]
    objects = {
        path.relative_to(directory).as_posix(): cpu.Buffer.from_bytes(path.read_bytes())
        for path in files
    }
    arrays = [zarr.open_array(store, mode="r") for store in (directory, MemoryStore(objects))]
    return [outcome(array, chosen) for array in arrays for chosen in SELECTIONS.values()]


def outcome(array: Any, selection: Any) -> tuple[str, Any, str]:
    try:
        found = array.oindex[selection]
    except Exception as error:
        return "raised", type(error).__name__, str(error)
    return "read", np.ascontiguousarray(found).tobytes(), ""


class Reader:
    """Reads damaged arrays in a process that may crash."""

    def __init__(self, pipeline: str, root: Path) -> None:
        self.pipeline, self.root = pipeline, str(root)
        self.start()

    def start(self) -> None:
        self.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def __call__(self, coding: str, damage: str) -> list[tuple[str, Any, str]]:
        try:
            return self.pool.submit(read, self.pipeline, self.root, coding, damage).result(60)
        except BrokenProcessPool:
            self.start()
            return [("died", None, "")] * len(READS)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Reader, Reader]]:
    """zarr's own pipeline and the one under test."""
    both = (
        Reader(OWN, tmp_path_factory.mktemp("zarr")),
        Reader("zarrs.ZarrsCodecPipeline", tmp_path_factory.mktemp("zarrs")),
    )
    yield both
    for reader in both:
        reader.pool.shutdown()


PAST_THE_END = "c-blosc trusts the size in its header, and reads past the end of numcodecs' buffer"
NEGATIVE = "numcodecs makes a bytes object of negative size"
IMPOSSIBLE = "zarr asks its store for a range that no file can have; here it is just too short"
WRAPPED = "zarr's sum of offset and size wraps around, and it decodes nothing"
# (part of the coding's name, damage or None for any) → the class that zarr raises (None: it reads),
# the classes that zarrs may raise instead, and why they differ.
DELIBERATE: list[tuple[str, str | None, str | None, set[str], str]] = [
    ("blosc", "last_byte_gone", None, {"RuntimeError"}, PAST_THE_END),
    ("blosc", "one_byte", "SystemError", {"RuntimeError"}, NEGATIVE),
    ("sharded", None, "ExceptionGroup", {"RuntimeError", "ValueError"}, IMPOSSIBLE),
    ("sharded", "size_missing", "RuntimeError", {"ValueError"}, WRAPPED),
]
if Version(zarr.__version__) < Version("3.3"):
    older = "older releases take a range without bytes for a missing subchunk"
    DELIBERATE += [
        ("sharded", None, None, {"RuntimeError", "ValueError"}, older),
        ("zstd", "twice", "RuntimeError", {"ValueError"}, "older numcodecs decode one frame"),
        ("sharded", None, "MemoryError", {"RuntimeError", "ValueError"}, IMPOSSIBLE),
        ("sharded", None, "OverflowError", {"RuntimeError", "ValueError"}, IMPOSSIBLE),
        ("sharded", None, "ValueError", {"RuntimeError"}, IMPOSSIBLE),
    ]


def check(readers: tuple[Reader, Reader], coding: str, damage: str) -> None:
    oracle, ours = (reader(coding, damage) for reader in readers)
    for name, expected, found in zip(READS, oracle, ours, strict=True):
        assert found[0] != "died", name
        if found[0] == "raised":
            assert chunk_key(coding) in found[2], name
        allowed: set[Any] = {expected[:2]}
        for part, which, theirs, instead, _reason in DELIBERATE:
            raised = expected[1] if expected[0] == "raised" else None
            if part in coding and which in (None, damage) and raised == theirs:
                allowed |= {("raised", name) for name in instead}
        assert found[:2] in allowed, (name, expected, found)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_damaged_chunk_is_read_or_refused_as_by_zarr(readers, coding, damage) -> None:
    check(readers, coding, damage)


@pytest.mark.parametrize("damage", INDEX_DAMAGES)
@pytest.mark.parametrize("coding", ["sharded_raw", "sharded_zstd", "sharded_index_at_start"])
def test_a_damaged_shard_index_is_read_or_refused_as_by_zarr(readers, coding, damage) -> None:
    check(readers, coding, damage)


# Formats whose header declares the decoded size, and where it does.
ANNOUNCING: dict[str, tuple[Any, range]] = {
    "zstd": (ZstdCodec(), range(5, 9)),
    "zstd_checksum": (ZstdCodec(checksum=True), range(5, 9)),
    "blosc_lz4": (blosc("lz4"), range(4, 7)),
    "blosc_zstd": (blosc("zstd"), range(4, 7)),
    "v2_lz4": (numcodecs.LZ4(), range(3)),
}


@pytest.mark.parametrize("coding", ANNOUNCING)
@pytest.mark.parametrize("shards", [False, True])
def test_a_flipped_bit_in_a_declared_size_is_read_or_refused_as_by_zarr(
    oracle, coding, shards
) -> None:
    """Declared sizes up to gigabytes, for small chunks and for chunks of several blocks, read whole and in part."""
    codec, announced = ANNOUNCING[coding]
    if shards and coding.startswith("v2"):
        pytest.skip("format 2 has no shards")
    for length in (64, 1 << 18):
        options: dict[str, Any] = {"shape": (2 * length,), "dtype": "int32", "compressors": codec}
        options |= {"chunks": (length,), "shards": (2 * length,) if shards else None}
        options |= V2 if coding.startswith("v2") else {}
        store = MemoryStore()
        array = zarr.create_array(store, **options)
        array[:length] = np.random.default_rng(0).integers(0, 1 << 20, length)
        key = "0" if coding.startswith("v2") else "c/0"
        sound = store._store_dict[key].to_bytes()
        for bit in range(announced.start * 8, announced.stop * 8):
            damaged = bytearray(sound)
            damaged[bit // 8] ^= 1 << bit % 8
            store._store_dict[key] = cpu.Buffer.from_bytes(bytes(damaged))
            for chosen in (slice(0, length), slice(3, 7)):
                with oracle():
                    expected = outcome(zarr.open_array(store, mode="r"), chosen)[:2]
                found = outcome(zarr.open_array(store, mode="r"), chosen)[:2]
                assert found == expected, (length, bit, chosen)


# -- decompression bombs ----------------------------------------------------------------------------

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def zstd_of_2_62() -> bytes:
    return ZSTD_MAGIC + b"\xe0" + (1 << 62).to_bytes(8, "little") + b"\1\0\0"


def zstd_of_8_gb() -> bytes:
    # Run-length blocks of 128 KiB each, in a frame that does not declare its content size.
    run = (1 << 1 | (1 << 17) << 3).to_bytes(3, "little") + b"\0"
    return ZSTD_MAGIC + b"\x00\x58" + run * (1 << 16) + b"\1\0\0"


def gzip_of_2_gb() -> bytes:
    return gzip.compress(bytes(1 << 25)) * 64


def zlib_of_half_a_gb() -> bytes:
    compressor = zlib.compressobj(1)
    return b"".join(compressor.compress(bytes(1 << 20)) for _ in range(512)) + compressor.flush()


def blosc_of_2_gb() -> bytes:
    return b"\2\1\1\4" + struct.pack("<3I", (1 << 31) - 1, 1 << 20, 16)


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "announced": ("zstd", zstd_of_2_62),
    "zstd": ("zstd", zstd_of_8_gb),
    "gzip": ("gzip", gzip_of_2_gb),
    "zlib": ("v2_zlib", zlib_of_half_a_gb),
    "blosc": ("blosc_lz4", blosc_of_2_gb),
    "gzip_in_shard": ("sharded_gzip", gzip_of_2_gb),
    "zstd_in_shard": ("sharded_zstd", zstd_of_8_gb),
    "gzip_around_zstd": ("zstd_gzip", gzip_of_2_gb),
}


def read_bomb(coding: str, data: bytes, directory: str) -> tuple[str, str, int]:
    """The error's class and message, and by how many bytes the peak memory of the process grew."""
    pipeline = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}
    zarr.config.set(pipeline)
    more = CODINGS[coding]
    array = zarr.create_array(directory, shape=SHAPE, chunks=CHUNKS, dtype="int32", **more)
    array[:] = DATA
    (Path(directory) / chunk_key(coding)).write_bytes(data)
    array[-1, -1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, error, message = outcome(array, (slice(0, 2), slice(None)))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return error, message, (after - before) * 1024


@pytest.fixture(scope="module")
def bomb_reader() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb_is_refused_in_bounded_memory(bomb_reader, tmp_path, name) -> None:
    coding, make = BOMBS[name]
    data = make()
    if coding.startswith("sharded"):
        index = struct.pack(f"<{2 * SUBCHUNKS}Q", *(0, len(data)) * SUBCHUNKS)
        data += index + struct.pack("<I", crc32c(index))
    error, message, growth = bomb_reader.submit(read_bomb, coding, data, str(tmp_path)).result(60)
    assert error in ("ValueError", "RuntimeError", "MemoryError")
    assert chunk_key(coding) in message
    assert growth < 64 << 20


# -- stored checksums -------------------------------------------------------------------------------


@pytest.fixture(params=["crc32c", "zstd_crc32c", "sharded_crc32c"])
def wrong_checksum(request, store) -> zarr.Array[Any]:
    """An array whose first chunk or subchunk has valid data and a wrong checksum."""
    options = CODINGS[request.param]
    array = zarr.create_array(store, shape=SHAPE, chunks=CHUNKS, dtype="int32", **options)
    array[:] = DATA
    key = "c/0/0"
    sound = sync(store.get(key, cpu.buffer_prototype)).to_bytes()
    # Subchunks of 4 × 8 × 4 bytes, each followed by its checksum.
    position = 4 * 8 * 4 if request.param.startswith("sharded") else len(sound) - 1
    damaged = cpu.Buffer.from_bytes(flipped(sound, position))
    sync(store.set(key, damaged))
    return array


@pytest.mark.parametrize("selection", [(slice(None),), (slice(0, 1), slice(0, 1)), (0, 0)])
@pytest.mark.parametrize("validate", [True, None, "default"])
def test_checksums_are_verified_in_partial_reads_too(wrong_checksum, validate, selection) -> None:
    setting = {} if validate == "default" else {"codec_pipeline.validate_checksums": validate}
    with zarr.config.set(setting), pytest.raises(ValueError, match=r"c/0/0.*checksum"):
        wrong_checksum[selection]


@pytest.mark.parametrize("selection", [(slice(None),), (slice(0, 1), slice(0, 1)), (0, 0)])
def test_verification_of_chunk_checksums_can_be_disabled(wrong_checksum, selection) -> None:
    with zarr.config.set({"codec_pipeline.validate_checksums": False}):
        np.testing.assert_array_equal(wrong_checksum[selection], DATA[selection])
