"""Damaged archives opened for reading: the exception classes of zarr's own pipeline, and bounded memory.

Valid archives are in test_zip.py.
"""

from __future__ import annotations

import os
import struct
import sys
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import ShardingCodec
from zarr.storage import ZipStore

from support.archives import (
    DATA,
    LAYOUTS,
    MODES,
    SELECTIONS,
    assert_same,
    make,
    objects_of,
    opened,
    pack,
    patched_directory,
    patched_header,
)

# The `zipfile` of Python 3.11 overlooks damage that later ones refuse; the newest is the oracle.
careful_zipfile = pytest.mark.xfail(
    sys.version_info < (3, 12), reason="Python itself overlooks it", strict=False
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="zarr's own way there")


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


@pytest.fixture(params=MODES)
def method(request: pytest.FixtureRequest) -> int:
    return MODES[request.param]


HEADER_DAMAGES = {
    "magic": (0, b"XX"),
    "name": (30, b"d"),
    "name_length": (26, b"\xff\xff"),
    "extra_length": (28, b"\xff\xff"),
}


@careful_zipfile
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
    # For byte ranges too: to read the index at the end of a shard, zipfile reads the entry from its beginning.
    assert assert_same(path, oracle, select) is zipfile.BadZipFile


@pytest.mark.parametrize("length", [10, 40], ids=["small", "large"])
def test_parts_of_a_shard_with_its_index_at_the_start(tmp_path, length, oracle) -> None:
    codec = ShardingCodec(chunk_shape=(5, 5), index_location="start")
    layout = {"serializer": codec, "compressors": None, "chunks": (length, length)}
    value = np.arange(40 * 40, dtype="int32").reshape(40, 40)
    path = make(tmp_path / "a.zip", layout, zipfile.ZIP_STORED, value)
    patched_directory(path, "c/0/0", 16, b"\x01\x02\x03\x04")
    found = assert_same(path, oracle, lambda z: z[3, 3:7])
    # zipfile reads at least 4096 bytes, and so the whole of a small entry.
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
    # The last bits of a deflate stream are padding; all others matter.
    found = assert_same(path, oracle, lambda z: z[:])
    if isinstance(found, type):
        assert issubclass(found, zipfile.BadZipFile | zlib.error)
    else:
        np.testing.assert_array_equal(found, DATA)


def test_partial_reads_of_raw_chunks_verify_the_whole_chunk_as_zarr_does(tmp_path, oracle) -> None:
    path = make(tmp_path / "a.zip", LAYOUTS["raw"], zipfile.ZIP_STORED)
    patched_header(path, "c/0/0", 30 + 5 + 399, b"\x77")
    assert assert_same(path, oracle, lambda z: z[0, 0]) is zipfile.BadZipFile
    with zarr.config.set({"codec_pipeline.validate_checksums": False}), opened(path) as array:
        # Then only the requested bytes are read.
        assert array[0, 0] == 1


LENGTHS = [0, 1, 400, 1 << 20, (1 << 32) - 2]


@careful_zipfile
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("offset", [20, 24], ids=["compressed", "uncompressed"])
def test_a_wrong_declared_size(tmp_path, layout, method, length, offset, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    name = "0.0" if "zarr_format" in layout else "c/0/0"
    patched_directory(path, name, offset, struct.pack("<I", length))
    assert_same(path, oracle, lambda z: z[:])


def test_a_deflate_bomb_is_bounded(tmp_path) -> None:
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
def test_an_archive_truncated_while_it_is_open(tmp_path, layout, method, selection) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    name = "1.0" if "zarr_format" in layout else "c/1/0"
    header = zipfile.ZipFile(path).getinfo(name).header_offset
    # zipfile's classes, listed by hand: its file object may buffer more than is left on the disk.
    for left, error in ((50, EOFError), (10, zipfile.BadZipFile)):
        with opened(path) as array:
            # The central directory is read here.
            array[0, 0]
            os.truncate(path, header + left)
            with pytest.raises(error, match=f"chunk {name}"):
                array[10:20, :10] if selection == "all" else array[13:17, 8]
        make(path, layout, method)


def test_a_truncated_archive_does_not_open(tmp_path, method) -> None:
    path = make(tmp_path / "a.zip", {}, method)
    os.truncate(path, path.stat().st_size - 30)
    with pytest.raises(zipfile.BadZipFile):
        zarr.open_array(ZipStore(path), mode="r")


def test_long_text_in_a_deflated_entry_is_read(tmp_path) -> None:
    path = tmp_path / "a.zip"
    text = "a" * 300_000_000
    with ZipStore(path, mode="w", compression=zipfile.ZIP_DEFLATED) as store:
        zarr.create_array(store, shape=(1,), chunks=(1,), dtype="string", compressors=None)[:] = (
            text
        )
    with opened(path) as array:
        assert array[:].tolist() == [text]
