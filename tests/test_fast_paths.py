"""Fast paths are taken and equal the general path: bytes, system calls and decodes are counted, memory is measured.

Bytes that must not be decoded are replaced by garbage.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec
from zarr.storage import LocalStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc")
SHAPE = (250, 310)
DATA = np.random.default_rng(5).integers(0, 1000, SHAPE, "int32")
CHUNKS = {"chunks": (16, 16)}
SHARDS = {"chunks": (8, 8), "shards": (64, 64)}
LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": {**CHUNKS, "compressors": None},
    "zstd": CHUNKS,
    "gzip": {**CHUNKS, "compressors": GzipCodec()},
    "blosc": {"chunks": (250, 100), "compressors": BloscCodec(typesize=4, blocksize=4096)},
    "checked": {**CHUNKS, "compressors": [ZstdCodec(), Crc32cCodec()]},
    "transposed": {**CHUNKS, "filters": TransposeCodec(order=(1, 0))},
    "sharded_raw": {**SHARDS, "compressors": None},
    "sharded_zstd": SHARDS,
    "one_shard": {"chunks": (8, 8), "shards": (256, 320)},
    "v2_order_f": {**CHUNKS, "zarr_format": 2, "order": "F"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "one_thread": {"max_workers": 1},
    "many_threads": {"max_workers": 9},
    "one_chunk_at_once": {"max_workers": 4, "chunk_concurrent_maximum": 1},
    "kept_files": {"file_handle_cache_size": 5},
    "direct_io": {"direct_io": True},
    "unchecked": {"validate_checksums": False},
}
SELECTIONS: dict[str, Any] = {
    "whole": (slice(None), slice(None)),
    "inner": (slice(3, 247), slice(5, 301)),
    "rows": (slice(16, 48), slice(None)),
    "columns": (slice(None), slice(32, 64)),
    "one_row": (77, slice(None)),
    "one_column": (slice(None), 300),
    "one_chunk": (slice(16, 32), slice(16, 32)),
    "element": (249, 309),
    "steps": (slice(1, None, 3), slice(None, None, 7)),
    "list": (np.array([200, 3, 3, 17, 249]), slice(None)),
    "two_lists": (np.array([0, 100, 249]), np.array([309, 0, 5, 5])),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_path_returns_what_numpy_returns(store, layout, setting) -> None:
    settings = {f"codec_pipeline.{key}": value for key, value in SETTINGS[setting].items()}
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", **LAYOUTS[layout])
    with zarr.config.set(settings):
        array[:] = DATA
        for name, selection in SELECTIONS.items():
            axes = [
                axis if np.ndim(axis) else np.arange(size)[axis]
                for axis, size in zip(selection, SHAPE, strict=True)
            ]
            expected = DATA[np.ix_(*map(np.atleast_1d, axes))]
            expected = expected.reshape([len(axis) for axis in axes if np.ndim(axis)])
            np.testing.assert_array_equal(array.oindex[selection], expected, err_msg=name)
        written = DATA.copy()
        for name in ("inner", "one_row", "steps", "element", "one_chunk"):
            array[SELECTIONS[name]] = -written[SELECTIONS[name]]
            written[SELECTIONS[name]] *= -1
        np.testing.assert_array_equal(array[:], written)


OUTS: dict[str, Any] = {
    "c_order": lambda: np.empty(SHAPE, "int32"),
    "f_order": lambda: np.empty(SHAPE, "int32", order="F"),
    "strided": lambda: np.empty((500, 620), "int32")[::2, 1::2],
    "backwards": lambda: np.empty(SHAPE, "int32")[::-1, ::-1],
    "big_endian": lambda: np.empty(SHAPE, ">i4"),
    "unaligned": lambda: np.empty(4 * 250 * 310 + 1, "uint8")[1:].view("int32").reshape(SHAPE),
}


@pytest.mark.parametrize("out", OUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_decoding_in_place_equals_decoding_into_a_buffer(layout, out) -> None:
    array = zarr.create_array({}, shape=SHAPE, dtype="int32", **LAYOUTS[layout])
    array[:] = DATA
    filled = OUTS[out]()
    array.get_basic_selection(out=zarr.core.buffer.cpu.NDBuffer(filled))
    np.testing.assert_array_equal(filled, DATA)


# -- counts -----------------------------------------------------------------------------------------


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Bytes read (rchar) and read calls (syscr) of this process inside the block, from files and anything else."""

    def count() -> dict[str, int]:
        lines = Path("/proc/self/io").read_text().splitlines()
        return {name: int(number) for name, number in (line.split(": ") for line in lines)}

    found: dict[str, int] = {}
    before = count()
    yield found
    after = count()
    found.update({name: after[name] - before[name] for name in after})


# Allowance for the event loop's wake-ups and the counting itself.
SLACK = 4096


@linux
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_whole_read_reads_each_stored_byte_once(tmp_path, layout, chunks_in) -> None:
    array = zarr.create_array(tmp_path, shape=SHAPE, dtype="int32", **LAYOUTS[layout])
    array[:] = DATA
    stored = chunks_in(LocalStore(tmp_path))
    indexes = sum(20 + 16 * 64 for _ in stored) if "shard" in layout else 0
    indexes = 20 + 16 * 32 * 40 if layout == "one_shard" else indexes
    with counted() as found:
        array[:]
    assert found["rchar"] <= sum(map(len, stored.values())) + indexes + SLACK


@linux
def test_a_row_of_a_raw_chunk_reads_little_more_than_the_row(tmp_path) -> None:
    array = zarr.create_array(
        tmp_path, shape=(1024, 1024), chunks=(1024, 1024), dtype="int32", compressors=None
    )
    array[:] = 1
    with counted() as found:
        array[5]
    assert found["rchar"] <= 4096 + SLACK
    with counted() as found:
        array.oindex[[5, 700]]
    assert found["rchar"] <= 2 * 4096 + SLACK
    with counted() as found:
        array[10:20, 3:9]
    assert found["rchar"] <= 10 * 4096 + SLACK


@linux
@pytest.mark.parametrize("compressors", [None, "auto"], ids=["raw", "zstd"])
@pytest.mark.parametrize("location", ["start", "end"])
def test_a_subchunk_of_a_shard_costs_the_index_and_itself(tmp_path, compressors, location) -> None:
    array = zarr.create_array(
        tmp_path,
        shape=(1024, 1024),
        chunks=(32, 32),
        shards={"shape": (1024, 1024), "index_location": location},
        dtype="int32",
        compressors=compressors,
    )
    array[:] = np.random.default_rng(0).integers(0, 1 << 30, (1024, 1024))
    index, subchunk = 16 * 1024 + 4, 5000
    with counted() as found:
        array[40:50, 40:50]
    assert found["rchar"] <= index + subchunk + SLACK
    with counted() as found:
        array[500, 500]
    assert found["rchar"] <= index + subchunk + SLACK
    # However many points and runs fall into a shard, its index and each subchunk are read once.
    points = np.random.default_rng(1).integers(0, 64, (2, 3000))
    with counted() as found:
        array.vindex[tuple(points)]
    assert found["rchar"] <= index + 4 * subchunk + SLACK


@linux
def test_ten_thousand_runs_on_a_few_chunks_read_each_chunk_once(tmp_path, chunks_in) -> None:
    array = zarr.create_array(tmp_path, shape=(64, 4096), chunks=(16, 4096), dtype="int32")
    array[:] = np.random.default_rng(0).integers(0, 1 << 30, (64, 4096))
    stored = sum(map(len, chunks_in(LocalStore(tmp_path)).values()))
    rows = np.random.default_rng(1).integers(0, 64, 10_000)
    with counted() as found:
        array.oindex[rows, slice(0, 4)]
    assert found["rchar"] <= stored + SLACK


@linux
def test_a_part_of_a_blosc_chunk_reads_its_blocks_only(tmp_path, chunks_in) -> None:
    array = zarr.create_array(
        tmp_path,
        shape=(1024, 1024),
        chunks=(1024, 1024),
        dtype="int32",
        compressors=BloscCodec(typesize=4, blocksize=1 << 15),
    )
    array[:] = np.random.default_rng(0).integers(0, 1 << 12, (1024, 1024))
    stored = sum(map(len, chunks_in(LocalStore(tmp_path)).values()))
    with counted() as found:
        array[5]
    assert found["rchar"] <= stored / 8


def damage_all(root: Path) -> None:
    for path in (root / "c").rglob("*"):
        if path.is_file():
            path.write_bytes(b"neither zstd nor a shard")


@pytest.mark.parametrize("layout", ["zstd", "sharded_zstd", "one_shard"])
def test_a_complete_write_does_not_read_existing_chunks(tmp_path, layout) -> None:
    array = zarr.create_array(tmp_path, shape=SHAPE, dtype="int32", **LAYOUTS[layout])
    array[:] = DATA
    damage_all(tmp_path)
    if "shard" in layout:
        # zarr reads an edge shard if the write does not cover the subchunks beyond the edge.
        array = zarr.open_array(tmp_path)
        rows, columns = (192, 256) if layout != "one_shard" else (0, 0)
    else:
        rows, columns = SHAPE
    array[:rows, :columns] = -DATA[:rows, :columns]
    np.testing.assert_array_equal(array[:rows, :columns], -DATA[:rows, :columns])


def subchunk_of_noise(root: Path) -> tuple[zarr.Array[Any], Path, slice]:
    """A shard of four zstd subchunks, the last replaced by noise; returns the position of the noise."""
    array = zarr.create_array(root, shape=(8, 8), chunks=(4, 4), shards=(8, 8), dtype="int32")
    array[:] = np.arange(1, 65).reshape(8, 8)
    shard = root / "c/0/0"
    data = shard.read_bytes()
    offset, size = np.frombuffer(data[-68:-4], "<u8").reshape(4, 2)[3].tolist()
    place = slice(offset, offset + size)
    shard.write_bytes(data[:offset] + b"\xaa" * size + data[offset + size :])
    return array, shard, place


def test_a_partial_read_of_a_shard_decodes_only_what_it_needs(tmp_path) -> None:
    array, _, _ = subchunk_of_noise(tmp_path)
    np.testing.assert_array_equal(array[:4], np.arange(1, 33).reshape(4, 8))
    np.testing.assert_array_equal(array.oindex[[7, 0], [1, 2]], [[58, 59], [2, 3]])
    with pytest.raises(RuntimeError):
        array[:]


def test_a_partial_write_of_a_shard_keeps_the_bytes_of_the_other_subchunks(tmp_path) -> None:
    array, shard, place = subchunk_of_noise(tmp_path)
    array[1, 1] = 500
    array[:4] = 7
    array[6:, :3] = 0
    assert (array[:4] == 7).all()
    assert b"\xaa" * (place.stop - place.start) in shard.read_bytes()


SCRIPT = """
import os, sys, numpy as np, zarr
array = zarr.open_array(sys.argv[1])
array[:16]
for marker in ("first", "second"):
    os.path.exists("/marker-" + marker)
    array[:]
os.path.exists("/marker-end")
"""
FILE_CALLS = "open,openat,read,pread64,preadv,fstat,newfstatat,statx,stat,lseek,close"


@linux
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("compressors", "calls"), [(None, 4), ("auto", 3)], ids=["raw", "zstd"])
def test_a_chunk_costs_three_system_calls_or_four(tmp_path, compressors, calls) -> None:
    array = zarr.create_array(
        tmp_path / "a", shape=(4096, 16), chunks=(16, 16), dtype="int32", compressors=compressors
    )
    array[:] = np.random.default_rng(0).integers(0, 1 << 30, (4096, 16))
    log = tmp_path / "log"
    command = ["strace", "-f", "-o", log, "-e", f"trace={FILE_CALLS}", sys.executable, "-c", SCRIPT]
    chosen = {"ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline"}
    done = subprocess.run(
        [*command, tmp_path / "a"],
        env={**os.environ, **chosen},
        capture_output=True,
        timeout=100,
        check=False,
    )
    if done.returncode:
        pytest.skip("strace is not permitted")
    traced = log.read_text()
    second = traced[traced.index("/marker-second") : traced.index("/marker-end")]
    made = [line for line in second.splitlines() if "resumed>" not in line]
    assert len([line for line in made if "/a/c/" in line]) == 256
    # The event loop makes system calls of its own.
    assert len(made) <= 256 * calls + 40


# -- memory -----------------------------------------------------------------------------------------

MEMORY = """
import resource, sys, numpy as np, zarr
from pathlib import Path
array = zarr.open_array(sys.argv[1])
array[:8]
array.oindex[[3, 1]]
def peak(action):
    # Forget the high-water mark.
    Path("/proc/self/clear_refs").write_text("5")
    lines = lambda: dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    before = int(lines()["VmRSS"].split()[0])
    result = action()
    return int(lines()["VmHWM"].split()[0]) - before, int(lines()["VmRSS"].split()[0]) - before
"""


def peaks(root: Path, code: str) -> list[int]:
    chosen = {
        "ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline",
        "ZARR_CODEC_PIPELINE__STRICT": "True",
        "ZARR_CODEC_PIPELINE__MAX_WORKERS": "4",
    }
    command = [sys.executable, "-c", MEMORY + code, root]
    done = subprocess.run(
        command,
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if "Permission" in done.stderr:
        pytest.skip("the high-water mark cannot be reset")
    assert done.returncode == 0, done.stderr
    return [int(number) * 1024 for number in done.stdout.split()]


MIB = 1 << 20


@pytest.fixture(scope="module", params=["raw", "zstd", "sharded"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 MiB in chunks of 1 MiB."""
    root = tmp_path_factory.mktemp("large")
    options: dict[str, Any] = {
        "raw": {"chunks": (512, 512), "compressors": None},
        "zstd": {"chunks": (512, 512)},
        "sharded": {"chunks": (64, 64), "shards": (512, 512)},
    }[request.param]
    array = zarr.create_array(root, shape=(4096, 4096), dtype="int32", **options)
    array[:] = np.random.default_rng(0).integers(0, 1 << 12, (4096, 4096), "int32")
    return root


@linux
def test_a_whole_read_needs_its_output_and_little_more(large) -> None:
    [peak] = peaks(large, "print(peak(lambda: array[:])[0])")
    # Two chunks or 1 MiB for each thread, and as much again for the interpreter.
    assert peak <= 64 * MIB + 16 * MIB


@linux
def test_a_list_selection_needs_little_more_memory_than_the_slice(large) -> None:
    code = """
rows = np.arange(4096)
rows[1::2] = rows[1::2][::-1]
print(peak(lambda: array[:])[0], peak(lambda: array.oindex[rows])[0])
"""
    whole, listed = peaks(large, code)
    assert listed <= 1.2 * whole + 4 * MIB


@linux
def test_a_thousand_reads_do_not_grow_the_process(large) -> None:
    code = """
def reads():
    for number in range(1000):
        array[number : number + 5, 10:60]
    for number in range(5):
        array.oindex[[5, 1, 900], 3:9]
reads()
print(peak(reads)[1])
"""
    [growth] = peaks(large, code)
    assert growth <= 4 * MIB


def test_many_writes_to_memory_do_not_grow_the_store() -> None:
    store = MemoryStore()
    array = zarr.create_array(
        store, shape=(64, 64), chunks=(16, 16), dtype="int32", compressors=None
    )
    for number in range(50):
        array[:] = number + 1
        array[3:20, 5] = 0
    assert (
        sum(len(value.to_bytes()) for key, value in store._store_dict.items() if "c/" in key)
        == 4 * 64 * 64
    )
