"""The two native stores, files and memory: what they write, what they must not retain, which stores are not native.

Faults of the file system are in test_faults.py, forked processes in test_processes.py, killed ones in test_interrupts.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, StorePath

import zarrs

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPE, CHUNKS = (40, 30), (10, 10)
DATA = np.arange(1, 1201, dtype="int32").reshape(SHAPE)
LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": {"chunks": CHUNKS, "compressors": None},
    "zstd": {"chunks": CHUNKS},
    "sharded": {"chunks": (5, 5), "shards": CHUNKS},
}
PIPELINE = {
    "ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline",
    "ZARR_CODEC_PIPELINE__STRICT": "True",
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


def create(store: Any, layout: dict[str, Any], **more: Any) -> zarr.Array[Any]:
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", **{**layout, **more})
    array[:] = DATA
    return array


def run_python(code: str, *arguments: Any, before: Sequence[Any] = ()) -> str:
    """The output of `code` in another process, where the environment alone selects the pipeline."""
    command = [*before, sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    environment = {**os.environ, **PIPELINE}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- files ------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no file modes")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_mode_that_the_umask_leaves(tmp_path, layout, umask) -> None:
    before = os.umask(umask)
    try:
        array = create(tmp_path, layout)
        # Replacing a key takes another code path than creating it.
        array[0, 0] = 9
    finally:
        os.umask(before)
    for name in ("c/0/0", "c/1/1"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~umask


def test_missing_directories_are_recreated(tmp_path, layout, chunks_in) -> None:
    array = create(tmp_path, layout)
    expected = chunks_in(LocalStore(tmp_path))
    shutil.rmtree(tmp_path / "c")
    array[:] = DATA
    assert chunks_in(LocalStore(tmp_path)) == expected


def test_a_missing_root_reads_as_missing_chunks(tmp_path, layout) -> None:
    array = create(tmp_path / "root", layout, fill_value=7)
    shutil.rmtree(tmp_path / "root")
    assert (array[:] == 7).all()


@pytest.mark.parametrize("name", ["sp ace", "per%20cent", "ünï/cödé", "日本", "a.b/c-d_e"])
def test_array_paths_are_taken_literally(tmp_path, name, oracle) -> None:
    store = LocalStore(tmp_path / "root dir %41")
    array = zarr.create_array(store, name=name, shape=SHAPE, chunks=CHUNKS, dtype="int32")
    array[:] = DATA
    with oracle():
        np.testing.assert_array_equal(zarr.open_array(store, path=name)[:], DATA)
    np.testing.assert_array_equal(array[:], DATA)


def test_a_moved_store_is_read_and_written_at_its_new_location(tmp_path, layout) -> None:
    store = LocalStore(tmp_path / "old")
    array = create(store, layout)
    array[:]
    sync(store.move(tmp_path / "new"))
    np.testing.assert_array_equal(array[:], DATA)
    array[:5] = 8
    assert not (tmp_path / "old").exists()
    assert (zarr.open_array(tmp_path / "new")[:5] == 8).all()


@pytest.mark.parametrize("cached", [0, 8])
def test_changes_by_other_programs_are_seen_by_the_next_read(
    tmp_path, layout, cached, oracle
) -> None:
    chunk = tmp_path / "c/0/0"
    with zarr.config.set({"codec_pipeline.file_handle_cache_size": cached}):
        array = create(tmp_path, layout)
        expected = DATA.copy()

        def check() -> None:
            np.testing.assert_array_equal(array[:], expected)
            np.testing.assert_array_equal(array[2:4, 3:5], expected[2:4, 3:5])
            assert array[3, 3] == expected[3, 3]

        check()
        with oracle():
            theirs = zarr.open_array(tmp_path)
            theirs[2:12, 3] = -1
            theirs[3, 3] = 77
        expected[2:12, 3] = -1
        expected[3, 3] = 77
        check()
        # Overwritten in place, as other programs may do: the same file, possibly of another length.
        old = chunk.read_bytes()
        chunk.write_bytes((tmp_path / "c/1/1").read_bytes())
        expected[:10, :10] = DATA[10:20, 10:20]
        expected[10:12, 3] = -1
        check()
        chunk.unlink()
        expected[:10, :10] = 0
        check()
        chunk.write_bytes(old)
        expected[:10, :10] = DATA[:10, :10]
        expected[2:10, 3] = -1
        expected[3, 3] = 77
        check()
        shutil.rmtree(tmp_path / "c")
        expected[:] = 0
        check()
        with oracle():
            theirs = zarr.open_array(tmp_path)
            theirs[:] = 5
            theirs.resize((40, 10))
        expected[:] = 5
        expected[:, 10:] = 0
        check()


ODD_SIZES = [1, 511, 512, 513, 4095, 4096, 4097, 12289, (1 << 20) + 1]


@pytest.mark.skipif(sys.platform != "linux", reason="O_DIRECT")
@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("compressors", [None, "auto"], ids=["raw", "zstd"])
@pytest.mark.parametrize("directory", ["tmp_path", "/dev/shm"])
def test_direct_io_reads_what_buffered_io_reads(tmp_path, size, compressors, directory) -> None:
    place = tmp_path if directory == "tmp_path" else Path(tempfile.mkdtemp(dir=directory))
    data = np.random.default_rng(1).integers(0, 255, 2 * size, "uint8")
    try:
        with warnings.catch_warnings(), zarr.config.set({"codec_pipeline.direct_io": True}):
            # Issued where the file system refuses direct I/O.
            warnings.filterwarnings("once", message=".*direct.*")
            array = zarr.create_array(
                place, shape=data.shape, chunks=size, dtype="uint8", compressors=compressors
            )
            array[:] = data
            for selection in (slice(None), slice(size - 1, size + 1), slice(size // 2, None, 3)):
                np.testing.assert_array_equal(array[selection], data[selection])
            np.testing.assert_array_equal(array.oindex[[0, size, 1]], data[[0, size, 1]])
    finally:
        if place is not tmp_path:
            shutil.rmtree(place)


REFUSED = """
import sys, warnings, numpy as np, zarr
with warnings.catch_warnings(record=True) as caught, zarr.config.set({"codec_pipeline.direct_io": True}):
    warnings.simplefilter("always")
    for name in "ab":
        z = zarr.create_array(sys.argv[1], name=name, shape=(100,), chunks=(10,), dtype="i4")
        z[:] = np.arange(100)
        assert (z[:] == np.arange(100)).all()
        assert z[3] == 3
print(len(caught), *[str(warning.message) for warning in caught])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="O_DIRECT")
def test_refused_direct_io_issues_one_warning_and_reads_correctly(tmp_path) -> None:
    # ramfs does not support direct I/O.
    mount = ["unshare", "-m", "sh", "-c", 'mount -t ramfs none "$0" && exec "$@"']
    try:
        subprocess.run([*mount, tmp_path, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount")
    printed = run_python(REFUSED, tmp_path, before=[*mount, tmp_path])
    assert printed.startswith("1 ")
    assert "direct_io" in printed


# -- files and memory -------------------------------------------------------------------------------


def test_read_only_stores_refuse_as_by_zarr(make_store, layout, chunks_in, oracle) -> None:
    store = make_store()
    create(store, layout)
    before = chunks_in(store)

    def refusals() -> list[str]:
        messages = []
        for array in (
            zarr.open_array(store, mode="r"),
            zarr.open_array(store.with_read_only(True), mode="r"),
        ):
            assert (array[:] == DATA).all()
            for value in (1, 0, DATA):
                with pytest.raises(ValueError) as caught:
                    array[:] = value
                messages.append(str(caught.value))
            # An empty selection writes nothing.
            array[0:0] = 1
        return messages

    with oracle():
        expected = refusals()
    assert refusals() == expected
    assert chunks_in(store) == before


def test_a_store_that_is_not_open_is_opened(make_store, layout) -> None:
    store = make_store()
    create(store, layout)
    if isinstance(store, LocalStore):
        fresh: Any = LocalStore(store.root)
    else:
        fresh = MemoryStore(store._store_dict)
    array = zarr.open_array(store)
    moved = zarr.AsyncArray(array.metadata, StorePath(fresh))
    assert not fresh._is_open
    np.testing.assert_array_equal(sync(moved.getitem(slice(None))), DATA)
    assert fresh._is_open


@pytest.mark.parametrize("selection", [slice(None), (slice(3, 7), slice(2, 9)), (4,), ([3, 1],)])
def test_a_read_returns_the_callers_own_memory(store, layout, selection) -> None:
    array = create(store, layout)
    found = array.oindex[selection]
    assert found.flags.writeable
    found[...] = -5
    np.testing.assert_array_equal(array.oindex[selection], DATA[selection])


def test_the_value_of_a_write_stays_the_callers_own(store, layout) -> None:
    array = create(store, layout)
    value = -DATA
    one_chunk = value[:10, :10].copy()
    array[:] = value
    array[:10, :10] = one_chunk
    expected = value.copy()
    value[:] = 0
    one_chunk[:] = 0
    np.testing.assert_array_equal(array[:], expected)


def test_a_partial_write_does_not_change_buffers_already_in_the_store(layout) -> None:
    store = MemoryStore()
    array = create(store, layout)
    before = {key: value.to_bytes() for key, value in store._store_dict.items()}
    buffers = dict(store._store_dict)
    array[2:4, 2:4] = 0
    array[0] = 9
    assert {key: value.to_bytes() for key, value in buffers.items()} == before


class Counting(dict):
    """A dict subclass."""


class WithoutFirstChunk:
    """A store that overrides `get` to hide a chunk."""

    async def get(self, key: str, *arguments: Any, **more: Any) -> Any:
        return None if key.endswith("c/0/0") else await super().get(key, *arguments, **more)

    def get_sync(self, key: str, **more: Any) -> Any:
        return None if key.endswith("c/0/0") else super().get_sync(key, **more)


class SomeFiles(WithoutFirstChunk, LocalStore):
    pass


class SomeMemory(WithoutFirstChunk, MemoryStore):
    pass


def not_native(root: Path) -> dict[str, Any]:
    return {
        "a dictionary of another class": MemoryStore(Counting()),
        "a subclass of LocalStore": SomeFiles(root),
        "a subclass of MemoryStore": SomeMemory(),
    }


@pytest.mark.parametrize("kind", not_native(Path()))
def test_stores_of_other_classes_are_awaited(tmp_path, kind, layout) -> None:
    store = not_native(tmp_path)[kind]
    array = create(store, layout)
    expected = DATA.copy()
    if "subclass" in kind:
        expected[:10, :10] = 0
    np.testing.assert_array_equal(array[:], expected)
    assert array[11, 3] == DATA[11, 3]
    assert "awaited in Python" in zarrs.explain(array).store
