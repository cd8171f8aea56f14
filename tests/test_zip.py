"""Archives that are opened for reading: zarr's own pipeline is the oracle for values, missing chunks and error classes.

How archives are written, and stores over file objects, stay with zarr.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import struct
import sys
import threading
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.codecs import BloscCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.storage import LocalStore, ZipStore

import zarrs
from zarrs import _zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="zarr's own way there")

SHAPE, CHUNKS = (40, 30), (10, 10)
DATA = np.arange(1, 1201, dtype="int32").reshape(SHAPE)
V2 = {"zarr_format": 2}
LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": {"compressors": None},
    "raw_big_endian": {"compressors": None, "dtype": ">i4"},
    "zstd": {"compressors": ZstdCodec(checksum=True)},
    "gzip_transposed": {"compressors": GzipCodec(), "filters": [TransposeCodec(order=(1, 0))]},
    "blosc": {"compressors": BloscCodec(cname="lz4", typesize=4, shuffle="shuffle")},
    "sharded": {"chunks": (5, 5), "shards": CHUNKS},
    "sharded_raw": {"chunks": (5, 5), "shards": CHUNKS, "compressors": None},
    "v2_raw": {**V2, "compressors": None},
    "v2_zlib": {**V2, "compressors": numcodecs.Zlib()},
    "v2_order_f": {**V2, "order": "F", "compressors": None},
}
MODES = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}
SELECTIONS: dict[str, Callable[[Any], Any]] = {
    "all": lambda z: z[:],
    "one": lambda z: z[7, 21],
    "row": lambda z: z[13],
    "part": lambda z: z[3:27, 8:12],
    "steps": lambda z: z[1:39:7, ::4],
    "list": lambda z: z.oindex[[35, 2, 2, 17], 3:9],
    "lists": lambda z: z.oindex[[1, 30], [29, 0, 5]],
    "mask": lambda z: z.oindex[np.arange(40) % 3 == 0],
    "points": lambda z: z.vindex[[0, 39, 5, 5], [29, 0, 7, 7]],
    "block": lambda z: z.blocks[1:3, 0],
    "nothing": lambda z: z[4:4],
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


@pytest.fixture(params=MODES)
def method(request: pytest.FixtureRequest) -> int:
    return MODES[request.param]


def fill(store: Any, layout: dict[str, Any], value: Any = DATA, **more: Any) -> None:
    more = {"chunks": CHUNKS, "dtype": "int32", "fill_value": 7, **layout, **more}
    zarr.create_array(store, shape=np.shape(value), **more)[:] = value


def make(path: Path, layout: dict[str, Any], method: int, value: Any = DATA, **more: Any) -> Path:
    store = ZipStore(path, mode="w", compression=method)
    fill(store, layout, value, **more)
    store.close()
    return path


def pack(path: Path, objects: dict[str, bytes], method: int, *, force_zip64: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", compression=method) as archive:
        for name, data in objects.items():
            with archive.open(name, "w", force_zip64=force_zip64) as entry:
                entry.write(data)
    return path


def objects_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@contextmanager
def opened(path: Path) -> Iterator[zarr.Array[Any]]:
    store = ZipStore(path)
    try:
        yield zarr.open_array(store, mode="r")
    finally:
        store.close()


def outcome(path: Path, select: Callable[[Any], Any]) -> Any:
    """The values, or the class of the error."""
    with opened(path) as array:
        try:
            return select(array)
        except Exception as error:
            return type(error)


def assert_same(path: Path, oracle: Any, select: Callable[[Any], Any]) -> Any:
    with oracle():
        expected = outcome(path, select)
    found = outcome(path, select)
    if isinstance(expected, type):
        assert found is expected
    else:
        np.testing.assert_array_equal(found, expected, strict=True)
    return found


def is_native(path: Path) -> bool:
    with opened(path) as array:
        array[0, 0]
        return zarrs.explain(array).store == "native zip"


# -- values -----------------------------------------------------------------------------------------


def test_every_selection_gives_what_zarr_gives(tmp_path, layout, method, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    assert is_native(path)
    for select in SELECTIONS.values():
        assert not isinstance(assert_same(path, oracle, select), type)


def test_missing_chunks_are_filled_and_reported(tmp_path, layout, method, oracle) -> None:
    value = np.full(SHAPE, 7, "int32")
    value[12:15, 5:25] = 3
    path = make(tmp_path / "a.zip", layout, method, value)
    assert_same(path, oracle, lambda z: z[:])
    if "read_missing_chunks" not in zarr.config.get("array"):
        return
    for wanted in (slice(12, 15), slice(0, 5)):
        with zarr.config.set({"array.read_missing_chunks": False}):
            assert_same(path, oracle, lambda z, wanted=wanted: z[wanted, 5:8])


def test_chunks_large_enough_to_be_read_in_parts(tmp_path, method, oracle) -> None:
    value = np.arange(1 << 19, dtype="int32").reshape(512, 1024)
    for name in ("raw", "blosc"):
        layout = {**LAYOUTS[name], "chunks": (256, 512)}
        path = make(tmp_path / f"{name}.zip", layout, method, value)
        for select in (lambda z: z[5], lambda z: z[300:303, 17], lambda z: z[:], lambda z: z[:, 9]):
            assert_same(path, oracle, select)
        with opened(path) as array:
            # Twice in one archive: its checksum is known by then.
            for _ in range(2):
                np.testing.assert_array_equal(array[300:303, 17], value[300:303, 17])


def test_arrays_of_a_group_share_one_handle(tmp_path, method) -> None:
    store = ZipStore(tmp_path / "a.zip", mode="w", compression=method)
    for name in ("a", "ä/b c"):
        fill(store, {}, name=name)
    store.close()
    store = ZipStore(tmp_path / "a.zip")
    group = zarr.open_group(store, mode="r")
    for name in ("a", "ä/b c"):
        np.testing.assert_array_equal(group[name][:], DATA)
    assert _zip.archive(store) is _zip.archive(store)
    store.close()


# -- archives of other makers -----------------------------------------------------------------------


def test_the_last_of_two_entries_with_one_name_counts(tmp_path, layout, method, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    newer = objects_of(make(tmp_path / "b.zip", layout, method, DATA + 5))
    with zipfile.ZipFile(path, "a", compression=method) as archive:
        for name, data in newer.items():
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr(name, data)
    found = assert_same(path, oracle, lambda z: z[:])
    np.testing.assert_array_equal(found, DATA + 5)
    assert is_native(path)


def test_zip64_entries_of_any_size(tmp_path, layout, method, oracle) -> None:
    objects = objects_of(make(tmp_path / "a.zip", layout, method))
    path = pack(tmp_path / "b.zip", objects, method, force_zip64=True)
    assert is_native(path)
    assert_same(path, oracle, lambda z: z[:])
    assert_same(path, oracle, lambda z: z[3:5, 2])


def test_a_zip64_directory_of_many_entries(tmp_path, method, oracle) -> None:
    objects = objects_of(make(tmp_path / "a.zip", {}, method))
    objects = {f"other/{number}": b"" for number in range(1 << 16)} | objects
    path = pack(tmp_path / "b.zip", objects, method)
    assert b"PK\x06\x06" in path.read_bytes()
    assert is_native(path)
    assert_same(path, oracle, lambda z: z[3:33, 2])


def test_directories_comments_and_bytes_before_the_archive(
    tmp_path, layout, method, oracle
) -> None:
    source = tmp_path / "source"
    fill(LocalStore(source), layout)
    path = tmp_path / "a.zip"
    path.write_bytes(b"#!/bin/sh\n" * 9)
    with zipfile.ZipFile(path, "a", compression=method) as archive:
        for entry in sorted(source.rglob("*")):
            archive.write(entry, entry.relative_to(source))
        archive.comment = b"made by hand"
    assert any(
        name.endswith("/") for name in zipfile.ZipFile(path).namelist()
    ) or "zarr_format" in (layout)
    assert is_native(path)
    for select in SELECTIONS.values():
        assert_same(path, oracle, select)


@pytest.mark.parametrize("other", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_awaited_in_python(tmp_path, other, oracle) -> None:
    path = make(tmp_path / "a.zip", {}, other)
    assert not is_native(path)
    assert_same(path, oracle, lambda z: z[3:33, 2])
    with opened(path) as array:
        array[:]
        assert "is compressed by" in zarrs.explain(array).store


def patched_directory(path: Path, name: str, offset: int, data: bytes) -> None:
    """Overwrites bytes of the record of `name` in the central directory."""
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.index(b"PK\x01\x02", at + 4)
    content[at + offset : at + offset + len(data)] = data
    path.write_bytes(content)


def patched_header(path: Path, name: str, offset: int, data: bytes) -> None:
    """Overwrites bytes of the local header of `name`, or of what comes after it."""
    content = bytearray(path.read_bytes())
    at = zipfile.ZipFile(path).getinfo(name).header_offset
    content[at + offset : at + offset + len(data)] = data
    path.write_bytes(content)


def test_an_encrypted_entry_is_zarrs_to_refuse(tmp_path, method, oracle) -> None:
    path = make(tmp_path / "a.zip", {}, method)
    patched_directory(path, "c/0/0", 8, b"\x01\x00")
    assert not is_native_or_refused(path)
    assert assert_same(path, oracle, lambda z: z[:]) is RuntimeError


def is_native_or_refused(path: Path) -> bool:
    store = ZipStore(path)
    try:
        return _zip.archive(store) is not None
    finally:
        store.close()


# -- damage -----------------------------------------------------------------------------------------

HEADER_DAMAGES = {
    "magic": (0, b"XX"),
    "name": (30, b"d"),
    "name_length": (26, b"\xff\xff"),
    "extra_length": (28, b"\xff\xff"),
}


@pytest.mark.parametrize("damage", HEADER_DAMAGES)
@pytest.mark.parametrize("selection", ["all", "part", "one"])
def test_a_damaged_local_header(tmp_path, layout, method, damage, selection, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    name = "0.0" if "zarr_format" in layout else "c/0/0"
    offset, data = HEADER_DAMAGES[damage]
    patched_header(path, name, offset, data)
    select = {**SELECTIONS, "part": lambda z: z[3:17, 8:12], "one": lambda z: z[7, 1]}[selection]
    assert assert_same(path, oracle, select) is zipfile.BadZipFile
    with opened(path) as array, pytest.raises(zipfile.BadZipFile, match=f"chunk {name}"):
        array[:]


@pytest.mark.parametrize("selection", ["all", "part", "one"])
def test_a_wrong_checksum(tmp_path, layout, method, selection, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    name = "0.0" if "zarr_format" in layout else "c/0/0"
    patched_directory(path, name, 16, b"\x01\x02\x03\x04")
    select = {**SELECTIONS, "part": lambda z: z[3:17, 8:12], "one": lambda z: z[7, 1]}[selection]
    # For ranges too: zipfile comes to the index at the end of a shard from its beginning.
    assert assert_same(path, oracle, select) is zipfile.BadZipFile


@pytest.mark.parametrize("length", [10, 40], ids=["small", "large"])
def test_parts_of_a_shard_with_its_index_at_the_start(tmp_path, length, oracle) -> None:
    codec = ShardingCodec(chunk_shape=(5, 5), index_location="start")
    layout = {"serializer": codec, "compressors": None, "chunks": (length, length)}
    value = np.arange(40 * 40, dtype="int32").reshape(40, 40)
    path = make(tmp_path / "a.zip", layout, zipfile.ZIP_STORED, value)
    patched_directory(path, "c/0/0", 16, b"\x01\x02\x03\x04")
    found = assert_same(path, oracle, lambda z: z[3, 3:7])
    # zipfile reads 4096 bytes at least, and so all of a small one.
    assert (found is zipfile.BadZipFile) == (length == 10)
    assert assert_same(path, oracle, lambda z: z[:]) is zipfile.BadZipFile


@pytest.mark.parametrize("position", [0, 1, 5, 50, 100, -9, -1])
def test_a_flipped_bit_never_gives_other_values(tmp_path, layout, method, position, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    name = "0.0" if "zarr_format" in layout else "c/0/0"
    info = zipfile.ZipFile(path).getinfo(name)
    at = 30 + len(name) + position % info.compress_size
    byte = path.read_bytes()[info.header_offset + at]
    patched_header(path, name, at, bytes([byte ^ 0x10]))
    # The last bits of a deflate stream mean nothing; all others do.
    found = assert_same(path, oracle, lambda z: z[:])
    if isinstance(found, type):
        assert issubclass(found, zipfile.BadZipFile | zlib.error)
    else:
        np.testing.assert_array_equal(found, DATA)


def test_partial_reads_of_raw_chunks_check_the_whole_as_zarr_does(tmp_path, oracle) -> None:
    path = make(tmp_path / "a.zip", LAYOUTS["raw"], zipfile.ZIP_STORED)
    patched_header(path, "c/0/0", 30 + 5 + 399, b"\x77")
    assert assert_same(path, oracle, lambda z: z[0, 0]) is zipfile.BadZipFile
    with zarr.config.set({"codec_pipeline.validate_checksums": False}), opened(path) as array:
        # Nothing is read then but what is asked for.
        assert array[0, 0] == 1


LENGTHS = [0, 1, 400, 1 << 20, (1 << 32) - 2]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("offset", [20, 24], ids=["compressed", "uncompressed"])
def test_an_announced_size_that_is_wrong(tmp_path, layout, method, length, offset, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    name = "0.0" if "zarr_format" in layout else "c/0/0"
    patched_directory(path, name, offset, struct.pack("<I", length))
    assert_same(path, oracle, lambda z: z[:])


def test_a_deflated_flood_is_bounded(tmp_path) -> None:
    import resource

    objects = objects_of(make(tmp_path / "a.zip", {}, zipfile.ZIP_DEFLATED))
    path = tmp_path / "b.zip"
    objects.pop("c/0/0")
    pack(path, objects, zipfile.ZIP_DEFLATED)
    with (
        zipfile.ZipFile(path, "a", compression=zipfile.ZIP_DEFLATED) as archive,
        archive.open("c/0/0", "w", force_zip64=True) as entry,
    ):
        for _ in range(1 << 9):
            entry.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with opened(path) as array, pytest.raises(ValueError, match="decodes to more than"):
        array[:]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize("selection", ["all", "part"])
def test_an_archive_that_is_cut_off_while_it_is_open(tmp_path, layout, method, selection) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    name = "1.0" if "zarr_format" in layout else "c/1/0"
    header = zipfile.ZipFile(path).getinfo(name).header_offset
    # zipfile's classes; it cannot be asked itself, since its file object may hold more than is left on the disk.
    for left, error in ((50, EOFError), (10, zipfile.BadZipFile)):
        with opened(path) as array:
            # The directory is read now.
            array[0, 0]
            os.truncate(path, header + left)
            with pytest.raises(error, match=f"chunk {name}"):
                array[10:20, :10] if selection == "all" else array[13:17, 8]
        make(path, layout, method)


def test_an_archive_that_is_cut_off_does_not_open(tmp_path, method) -> None:
    path = make(tmp_path / "a.zip", {}, method)
    os.truncate(path, path.stat().st_size - 30)
    with pytest.raises(zipfile.BadZipFile):
        zarr.open_array(ZipStore(path), mode="r")


# -- the store's own state --------------------------------------------------------------------------


def test_a_closed_store_is_opened_again(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    store = ZipStore(path)
    array = zarr.open_array(store, mode="r")
    np.testing.assert_array_equal(array[:], DATA)
    make(tmp_path / "b.zip", layout, method, DATA + 1)
    os.replace(tmp_path / "b.zip", path)
    # As long as it is open, the archive is the one that was opened.
    np.testing.assert_array_equal(array[:], DATA)
    store.close()
    np.testing.assert_array_equal(array[:], DATA + 1)
    store.close()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        array[:]


def test_closed_archives_are_let_go_of(tmp_path, method) -> None:
    path = make(tmp_path / "a.zip", {}, method)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        with opened(path) as array:
            array[:]
        del array
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_writes_are_refused(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    before = path.read_bytes()
    with opened(path) as array:
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 1
    array = zarr.open_array(ZipStore(path, mode="r", read_only=True), mode="r")
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    assert path.read_bytes() == before


class Own(ZipStore):
    pass


@pytest.mark.parametrize("kind", ["file object", "append", "subclass", "writable"])
def test_other_ways_to_open_are_awaited_in_python(tmp_path, kind, method) -> None:
    path = make(tmp_path / "a.zip", {}, method)
    if kind == "file object" and Version(zarr.__version__) < Version("3.4"):
        pytest.skip("older releases take paths only")
    with path.open("rb") as file:
        store = {
            "file object": lambda: ZipStore(file),
            "append": lambda: ZipStore(path, mode="a"),
            "subclass": lambda: Own(path),
            "writable": lambda: ZipStore(path, mode="r", read_only=False),
        }[kind]()
        array = zarr.open_array(store, mode="r" if store.read_only else "r+")
        np.testing.assert_array_equal(array[:], DATA)
        assert zarrs.explain(array).store.startswith("awaited in Python")
        store.close()


def test_pickled_arrays_open_the_archive_again(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    with opened(path) as array:
        array[:]
        state = pickle.dumps(array)
        assert b"_internal" not in state
        copied = pickle.loads(state)
        np.testing.assert_array_equal(copied[:], DATA)
        copied.store.close()


def test_many_threads_read_one_archive(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    wrong: list[Any] = []

    def read(array: Any, number: int) -> None:
        for at in range(30):
            row = (number * 7 + at) % 40
            if not np.array_equal(array[row], DATA[row]):
                wrong.append((number, at))

    with opened(path) as array:
        threads = [threading.Thread(target=read, args=(array, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def _child(path: str, connection: Any) -> None:
    array = _SHARED[path]
    connection.send(bool(np.array_equal(array[:], DATA) and array[5, 5] == DATA[5, 5]))


_SHARED: dict[str, Any] = {}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_children_read_the_inherited_archive(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    with opened(path) as array:
        array[:]
        # A child has the open file, whatever became of the path.
        shutil.move(path, tmp_path / "moved.zip")
        _SHARED[str(path)] = array
        context = multiprocessing.get_context("fork")
        for _ in range(2):
            here, there = context.Pipe()
            child = context.Process(target=_child, args=(str(path), there))
            child.start()
            assert here.poll(30)
            assert here.recv() is True
            child.join(30)
        np.testing.assert_array_equal(array[:], DATA)
