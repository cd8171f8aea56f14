"""Damaged objects in stores in Python: zarr's exception class or zarr's result, however the store is accessed.

Errors that stores raise are in test_faults.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import obstore.store
import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, ObjectStore

from support.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = np.arange(1, 64 * 64 + 1, dtype="int32").reshape(64, 64)
LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": {"chunks": (8, 8), "compressors": None},
    "plain": {"chunks": (8, 8)},
    "sharded": {"chunks": (8, 8), "shards": (32, 32), "compressors": None},
}
RELEASE = tuple(map(int, zarr.__version__.split(".")[:2]))
WHOLE = (slice(None), slice(None))
# Subchunks only, so that a shard's index is read first.
PART = (slice(1, 60), slice(2, 61))


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


def damage(data: bytes, how: str) -> bytes:
    if how == "empty":
        return b""
    if how == "truncated":
        return data[: len(data) // 2]
    if how == "one byte short":
        return data[:-1]
    if how == "shorter than its index":
        return data[-100:]
    index = np.frombuffer(data[-(16 * 16) :], "<u8").copy()
    if how == "offset beyond the object":
        index[::2] = len(data) + 5
    elif how == "offset of 2^63":
        index[::2] = 1 << 63
    elif how == "length of 2^63":
        index[1::2] = 1 << 63
    elif how == "sum beyond 2^64":
        index[::2] = (1 << 64) - 10
    elif how == "half missing":
        index[1::2] = (1 << 64) - 1
    elif how == "length too short":
        index[1::2] -= 1
    return data[: -(16 * 16)] + index.tobytes()


DAMAGES = [
    "empty",
    "truncated",
    "one byte short",
    "shorter than its index",
    "offset beyond the object",
    "offset of 2^63",
    "length of 2^63",
    "sum beyond 2^64",
    "half missing",
    "length too short",
]


def remote_stores(path: Any) -> dict[str, Callable[[], Any]]:
    return {
        "awaited": Recorder,
        "obstore, memory": lambda: ObjectStore(obstore.store.MemoryStore()),
        "obstore, local": lambda: ObjectStore(
            obstore.store.LocalStore(str(path / "objects"), mkdir=True)
        ),
        "fsspec, memory": lambda: FsspecStore.from_url(f"memory://{path.name}"),
        "fsspec, local": lambda: FsspecStore.from_url(
            f"file://{path / 'files'}", storage_options={"auto_mkdir": True}
        ),
    }


INDEX_WITHOUT_CHECKSUM = ShardingCodec(
    chunk_shape=(8, 8), codecs=[BytesCodec()], index_codecs=[BytesCodec()]
)


def outcome(array: zarr.Array[Any], selection: Any) -> Any:
    try:
        return array[selection]
    except Exception as error:
        return error


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", remote_stores(None))
def test_a_damaged_shard_is_read_as_by_zarr_or_raises_a_value_error(
    tmp_path, kind, how, oracle
) -> None:
    store = remote_stores(tmp_path)[kind]()
    array = zarr.create_array(
        store,
        shape=(32, 32),
        chunks=(32, 32),
        dtype="int32",
        serializer=INDEX_WITHOUT_CHECKSUM,
        compressors=None,
    )
    array[:] = DATA[:32, :32]
    put(store, "c/0/0", damage(stored(store, "c/0/0"), how))
    for selection in (WHOLE, (slice(1, 20), slice(3, 30)), (2, 2)):
        found = outcome(array, selection)
        with oracle():
            expected = outcome(zarr.open_array(store), selection)
        if isinstance(found, np.ndarray | np.generic):
            np.testing.assert_array_equal(found, expected)
        elif RELEASE < (3, 3) and not isinstance(expected, Exception):
            # Older releases treat many damaged shards as missing.
            assert isinstance(found, ValueError)
        else:
            # Newer releases wrap the store's own error in an exception group.
            group = getattr(expected, "exceptions", ()) or (expected,)
            assert isinstance(expected, Exception), (selection, found)
            assert isinstance(found, ValueError) or type(found) in map(type, group)


@pytest.mark.parametrize("how", ["empty", "truncated", "one byte short"])
@pytest.mark.parametrize("codecs", ["raw", "zstd", "crc32c"])
def test_a_truncated_chunk_raises_the_class_that_zarr_raises(how, codecs, oracle) -> None:
    compressors: Any = {"raw": None, "zstd": "auto", "crc32c": [Crc32cCodec()]}[codecs]
    store = Recorder()
    array = zarr.create_array(
        store, shape=(8, 8), chunks=(8, 8), dtype="int32", compressors=compressors
    )
    array[:] = DATA[:8, :8]
    put(store, "c/0/0", damage(stored(store, "c/0/0"), how))
    for selection in (WHOLE, (1, 1), (slice(3), 2)):
        with oracle(), pytest.raises(Exception) as theirs:
            zarr.open_array(store)[selection]
        with pytest.raises(Exception) as ours:
            array[selection]
        assert issubclass(ours.type, theirs.type) or issubclass(theirs.type, ours.type)
        assert "c/0/0" in str(ours.value)
    with pytest.raises(Exception, match="c/0/0"):
        array[1, 1] = 5


@pytest.mark.parametrize("kind", ["obstore, local", "fsspec, local"])
@pytest.mark.parametrize("selection", [WHOLE, PART], ids=["whole", "part"])
def test_a_directory_in_place_of_a_chunk_is_treated_as_by_zarr(
    tmp_path, kind, layout, selection, oracle
) -> None:
    def outcomes(path: Any) -> list[Any]:
        store = remote_stores(path)[kind]()
        array = zarr.create_array(store, shape=DATA.shape, dtype=DATA.dtype, fill_value=0, **layout)
        array[:] = DATA
        chunk = path / ("objects" if "obstore" in kind else "files") / "c/0/1"
        chunk.unlink()
        chunk.mkdir()
        found = outcome(array, selection)
        with pytest.raises(Exception) as caught:
            array[selection] = 5
        return [found if isinstance(found, np.ndarray) else type(found), caught.type]

    (tmp_path / "theirs").mkdir()
    with oracle():
        expected = outcomes(tmp_path / "theirs")
    found = outcomes(tmp_path)
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] is expected[1]


def stored(store: Any, key: str) -> bytes:
    found = sync(store.get(key, default_buffer_prototype()))
    return found.to_bytes()


def put(store: Any, key: str, data: bytes) -> None:
    buffer = default_buffer_prototype().buffer.from_bytes(data)
    sync(store.set(key, buffer))
