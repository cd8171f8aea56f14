"""Archives for the tests of zip stores: made in every layout, damaged, read, and compared with zarr's own pipeline.

The claims are in test_zip.py and test_zip_damage.py.
"""

from __future__ import annotations

import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, GzipCodec, TransposeCodec, ZstdCodec
from zarr.storage import ZipStore

import zarrs
from zarrs import _zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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


def is_native_or_refused(path: Path) -> bool:
    store = ZipStore(path)
    try:
        return _zip.archive(store) is not None
    finally:
        store.close()


def patched_directory(path: Path, name: str, offset: int, data: bytes) -> None:
    """Overwrites bytes of the central directory's record of `name`."""
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    while content[at + 46 : at + 46 + len(name)] != name.encode():
        at = content.index(b"PK\x01\x02", at + 4)
    content[at + offset : at + offset + len(data)] = data
    path.write_bytes(content)


def patched_header(path: Path, name: str, offset: int, data: bytes) -> None:
    """Overwrites bytes of the local header of `name`, or of its data behind the header."""
    content = bytearray(path.read_bytes())
    at = zipfile.ZipFile(path).getinfo(name).header_offset
    content[at + offset : at + offset + len(data)] = data
    path.write_bytes(content)
