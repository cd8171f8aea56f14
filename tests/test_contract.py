"""zarr's contract with a pipeline, except selections: results, configuration, equality, pickling.

One claim per row of contract.md. Writes are in test_writes.py, ``out=`` in test_out.py, batches in
test_batches.py, pipelines without an array in test_codecs_alone.py.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.codecs import BytesCodec, GzipCodec, ShardingCodec, ZstdCodec
from zarr.registry import get_pipeline_class
from zarr.storage import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zarr.abc.codec import CodecPipeline
    from zarr.abc.store import Store

ZARR = Version(zarr.__version__)
OLD = "zarr.core.codec_pipeline.BatchedCodecPipeline"
DATA = np.arange(63, dtype="int32").reshape(7, 9)


def pipeline_of(array: zarr.Array) -> CodecPipeline:
    return array._async_array.codec_pipeline


def run_python(code: str, **environment: str) -> str:
    """The output of a new interpreter that turns every warning into an error."""
    completed = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.strip()


# How the pipeline is found


def test_the_class_reports_the_module_that_the_configuration_names() -> None:
    found = get_pipeline_class()
    assert (found.__module__, found.__qualname__) == ("zarrs", "ZarrsCodecPipeline")


def test_the_configured_path_alone_enables_the_pipeline() -> None:
    code = """
import sys, zarr
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
array = zarr.create_array({}, shape=(4,), chunks=(2,), dtype="i4")
array[...] = [1, 2, 3, 4]
print(type(array._async_array.codec_pipeline).__module__, array[...].tolist())
"""
    assert run_python(code) == "zarrs [1, 2, 3, 4]"


def test_the_environment_variable_alone_enables_the_pipeline() -> None:
    code = """
import zarr
array = zarr.create_array({}, shape=(4,), chunks=(2,), dtype="i4")
print(type(array._async_array.codec_pipeline).__module__)
"""
    assert run_python(code, ZARR_CODEC_PIPELINE__PATH="zarrs.ZarrsCodecPipeline") == "zarrs"


def test_the_pipeline_is_disabled_by_default() -> None:
    code = """
import zarr
array = zarr.create_array({}, shape=(4,), chunks=(2,), dtype="i4")
print(type(array._async_array.codec_pipeline).__module__)
"""
    assert run_python(code) == "zarr.core.codec_pipeline"


def test_importing_and_opening_start_no_thread_and_give_no_warning(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("threads that Python did not start are counted under /proc")
    zarr.create_array(LocalStore(tmp_path), shape=(4,), chunks=(2,), dtype="i4")[...] = 1
    code = f"""
import os, threading, zarr
def foreign_threads():
    return len(os.listdir("/proc/self/task")) - threading.active_count()
before = foreign_threads()
import zarrs
after_import = foreign_threads()
zarr.config.set({{"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}})
array = zarr.open_array({str(tmp_path)!r}, mode="r")
module = type(array._async_array.codec_pipeline).__module__
print(after_import - before, foreign_threads() - before, module)
"""
    assert run_python(code).split() == ["0", "0", "zarrs"]


# Results and missing chunks


@pytest.mark.parametrize("shards", [None, (6, 8)])
def test_a_read_fills_missing_chunks_with_the_fill_value(
    store: Store, shards: tuple[int, ...] | None
) -> None:
    array = zarr.create_array(
        store, shape=(7, 9), chunks=(3, 4), shards=shards, dtype="int32", fill_value=-5
    )
    assert (array[...] == -5).all()
    assert (array.oindex[[0, 6], 3] == -5).all()
    array[0, 0] = 1
    expected = np.full((7, 9), -5)
    expected[0, 0] = 1
    np.testing.assert_array_equal(array[...], expected)
    np.testing.assert_array_equal(array.vindex[[0, 6], [0, 8]], [1, -5])


@pytest.mark.skipif(Version("3.2") > ZARR, reason="read_missing_chunks came with zarr 3.2")
class TestReadMissingChunks:
    @pytest.fixture
    def array(self, store: Store) -> zarr.Array:
        made = zarr.create_array(
            store, shape=(7, 9), chunks=(3, 4), dtype="int32", config={"read_missing_chunks": False}
        )
        made[0:3, 0:4] = 1
        return made

    def test_a_missing_chunk_is_an_error_on_request(self, array: zarr.Array) -> None:
        from zarr.errors import ChunkNotFoundError

        assert (array[0:3, 0:4] == 1).all()
        with pytest.raises(ChunkNotFoundError, match=r"(?s)2 chunk\(s\).*c/0/1.*c/0/2"):
            array[0:3]

    def test_a_missing_subchunk_of_a_present_shard_is_filled(self, store: Store) -> None:
        array = zarr.create_array(
            store,
            shape=(6, 8),
            chunks=(3, 4),
            shards=(6, 8),
            dtype="int32",
            config={"read_missing_chunks": False},
        )
        array[0, 0] = 1
        assert array[...].sum() == 1

    def test_with_config_changes_the_setting(self, array: zarr.Array) -> None:
        assert array.with_config({"read_missing_chunks": True})[6, 8] == 0


# Configuration of an array


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shards", [None, (6, 8)])
def test_a_read_returns_arrays_in_the_configured_order(
    store: Store, oracle: Callable[[], Any], order: str, shards: tuple[int, ...] | None
) -> None:
    with oracle():
        zarr.create_array(store, shape=(7, 9), chunks=(3, 4), shards=shards, dtype="int32")[...] = (
            DATA
        )
    with zarr.config.set({"array.order": order}):
        array = zarr.open_array(store, mode="r")
    read = array[...]
    np.testing.assert_array_equal(read, DATA)
    assert read.flags.f_contiguous == (order == "F")
    np.testing.assert_array_equal(array[1:7:2, 2:9], DATA[1:7:2, 2:9])


def test_the_configured_order_changes_no_stored_byte(
    make_store: Callable[[], Store], chunks_in: Callable[[Store], dict[str, bytes]]
) -> None:
    stored = []
    for order in ("C", "F"):
        store = make_store()
        array = zarr.create_array(
            store,
            shape=(7, 9),
            chunks=(3, 4),
            dtype="int32",
            compressors=None,
            config={"order": order},
        )
        array[...] = DATA
        array[2:4, 1:7] = 5
        stored.append(chunks_in(store))
    assert stored[0] == stored[1]


def test_with_config_changes_the_copy_and_not_the_array(
    store: Store, chunks_in: Callable[[Store], dict[str, bytes]]
) -> None:
    array = zarr.create_array(store, shape=(7, 9), chunks=(3, 4), dtype="int32")
    if not hasattr(array, "with_config"):
        pytest.skip("this zarr has no Array.with_config")
    array[0:3, 0:4] = 0
    assert chunks_in(store) == {}
    array.with_config({"write_empty_chunks": True})[0:3, 0:4] = 0
    assert chunks_in(store).keys() == {"c/0/0"}
    assert array.with_config({"order": "F"})[...].flags.f_contiguous
    assert array[...].flags.c_contiguous


# Equality, groups, pickling, moving


def test_two_arrays_opened_alike_are_equal(store: Store) -> None:
    zarr.create_array(store, shape=(7, 9), chunks=(3, 4), dtype="int32")
    first, second = (zarr.open_array(store, mode="r") for _ in range(2))
    assert pipeline_of(first) == pipeline_of(second)
    assert first == second
    first[...]
    assert first == second


def test_members_of_a_group_are_equal_to_the_arrays_themselves(store: Store) -> None:
    group = zarr.create_group(store)
    made = group.create_array("a", shape=(7, 9), chunks=(3, 4), dtype="int32")
    made[...] = DATA
    members = dict(group.members())
    assert members["a"] == made == group["a"]
    np.testing.assert_array_equal(members["a"][...], DATA)


@pytest.mark.parametrize("shards", [None, (6, 8)])
def test_a_pickled_array_reads_and_writes(tmp_path: Path, shards: tuple[int, ...] | None) -> None:
    array = zarr.create_array(
        LocalStore(tmp_path), shape=(7, 9), chunks=(3, 4), shards=shards, dtype="int32"
    )
    array[...] = DATA
    state = pickle.dumps(array)
    copy = pickle.loads(state)
    assert copy == array
    np.testing.assert_array_equal(copy[...], DATA)
    copy[0] = -1
    assert (array[0] == -1).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(copy))[1:], DATA[1:])


def test_a_pickled_array_is_read_by_another_process_with_another_configuration(
    tmp_path: Path,
) -> None:
    array = zarr.create_array(LocalStore(tmp_path / "a"), shape=(7, 9), chunks=(3, 4), dtype="i4")
    array[...] = DATA
    (tmp_path / "pickle").write_bytes(pickle.dumps(array))
    code = f"""
import pickle, pathlib, zarr
zarr.config.set({{"threading.max_workers": 1, "codec_pipeline.strict": True}})
array = pickle.loads(pathlib.Path({str(tmp_path / "pickle")!r}).read_bytes())
print(type(array._async_array.codec_pipeline).__module__, int(array[...].sum()))
"""
    assert run_python(code) == f"zarrs {DATA.sum()}"


def test_a_pickled_pipeline_picks_up_changed_configuration(store: Store) -> None:
    zarr.create_array(store, shape=(7, 9), chunks=(3, 4), dtype="int32")[...] = DATA
    array = zarr.open_array(store, mode="r")
    state = pickle.dumps(pipeline_of(array).__class__.from_codecs([BytesCodec()]))
    with zarr.config.set({"threading.max_workers": 1, "codec_pipeline.strict": False}):
        assert isinstance(pickle.loads(state), get_pipeline_class())
        np.testing.assert_array_equal(array[...], DATA)
    np.testing.assert_array_equal(array[...], DATA)


@pytest.mark.skipif(not hasattr(LocalStore, "move"), reason="this zarr has no LocalStore.move")
def test_a_moved_store_is_read_at_its_new_location(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "old")
    array = zarr.create_array(store, shape=(7, 9), chunks=(3, 4), dtype="int32")
    array[...] = DATA
    asyncio.run(store.move(tmp_path / "new"))
    np.testing.assert_array_equal(array[...], DATA)
    array[0] = -1
    moved = zarr.open_array(LocalStore(tmp_path / "new"), mode="r")
    assert (moved[0] == -1).all()
    assert not (tmp_path / "old").exists()


def test_a_shard_with_codecs_around_it_warns_as_often_as_under_zarrs_own_pipeline(
    store: Store, oracle: Callable[[], Any]
) -> None:
    message = "disables partial reads and writes"
    with pytest.warns(Warning, match=message):
        zarr.create_array(
            store,
            shape=(8, 8),
            chunks=(4, 4),
            dtype="int32",
            serializer=ShardingCodec(chunk_shape=(2, 2)),
            compressors=[GzipCodec()],
        )
    with pytest.warns(Warning, match=message) as ours:
        zarr.open_array(store, mode="r+")[...] = 1
    with oracle(), pytest.warns(Warning, match=message) as theirs:
        zarr.open_array(store, mode="r+")[...] = 1
    assert len(ours) <= len(theirs)


# Rectilinear grids


@pytest.mark.skipif(
    zarr.config.get("array.rectilinear_chunks", None) is None,
    reason="rectilinear chunk grids came with zarr 3.2",
)
@pytest.mark.parametrize("codec", [None, ZstdCodec()])
def test_a_rectilinear_grid_is_read_and_written(
    store: Store, oracle: Callable[[], Any], codec: Any
) -> None:
    with zarr.config.set({"array.rectilinear_chunks": True}):
        array = zarr.create_array(
            store, shape=(7, 9), chunks=[[3, 1, 3], [4, 5]], dtype="int32", compressors=codec
        )
        array[...] = DATA
        data = DATA.copy()
        for selection in [(slice(2, 5), slice(3, 8, 2)), (3, slice(None)), (slice(None), 8)]:
            array[selection] = -data[selection]
            data[selection] = -data[selection]
        array.oindex[[6, 0, 3], [8, 0]] = 1
        data[np.ix_([6, 0, 3], [8, 0])] = 1
        array.vindex[[2, 3], [4, 3]] = [7, 8]
        data[[2, 3], [4, 3]] = [7, 8]
        with oracle():
            np.testing.assert_array_equal(zarr.open_array(store, mode="r")[...], data)
        np.testing.assert_array_equal(array[...], data)
        np.testing.assert_array_equal(array.oindex[[6, 0, 3]], data[[6, 0, 3]])
        np.testing.assert_array_equal(array.vindex[[6, 0], [0, 8]], data[[6, 0], [0, 8]])
