"""Forked and spawned processes, and pickles, with stores in Python: results stay correct, nothing deadlocks.

Native stores are in tests/test_processes.py. obstore and s3fs cannot be used in a fork of a process that has used them; they
are tested in forks of processes that have not, and through pickles.
"""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import icechunk
import numpy as np
import obstore.store
import pytest
import zarr
from zarr.storage import FsspecStore, LocalStore, LoggingStore, ObjectStore, WrapperStore
from zarr.testing.store import LatencyStore

from support.agreement import DATA, LAYOUTS, SHAPE, check_reads
from support.loopback import BUCKET, S3
from support.processes import ENVIRONMENT, PRELUDE, TIME_LIMIT, posix, run

if TYPE_CHECKING:
    from pathlib import Path

numbers = itertools.count()

STORES = """
from zarr.storage import FsspecStore, LocalStore, LoggingStore, MemoryStore, ObjectStore, WrapperStore


class SlowMemory(MemoryStore):
    async def get(self, *arguments, **more):
        await asyncio.sleep(0.001)
        return await super().get(*arguments, **more)


class SlowFiles(LocalStore):
    async def get(self, *arguments, **more):
        await asyncio.sleep(0.001)
        return await super().get(*arguments, **more)


class Wrapped(WrapperStore):
    async def get(self, *arguments, **more):
        await asyncio.sleep(0.001)
        return await super().get(*arguments, **more)


def store_of(kind):
    import obstore.store
    if kind == "memory":
        return SlowMemory()
    if kind == "files":
        return SlowFiles(ROOT)
    if kind == "wrapper":
        return Wrapped(LocalStore(ROOT))
    if kind == "logging":
        return LoggingStore(SlowFiles(ROOT), log_level="ERROR")
    if kind == "fsspec memory":
        return FsspecStore.from_url("memory://forked")
    if kind == "fsspec local":
        return FsspecStore.from_url("file://" + ROOT + "/f", storage_options={"auto_mkdir": True})
    if kind == "obstore local":
        return ObjectStore(obstore.store.LocalStore(ROOT + "/o", mkdir=True))
    endpoint = sys.argv[3]
    if kind == "obstore s3":
        return ObjectStore(obstore.store.S3Store(
            "bucket", prefix=ROOT.strip("/"), endpoint=endpoint, access_key_id="key", secret_access_key="secret",
            region="us-east-1", client_options={"allow_http": True}))
    if kind == "s3fs":
        return FsspecStore.from_url("s3://bucket" + ROOT, storage_options={
            "endpoint_url": endpoint, "key": "key", "secret": "secret"})
    raise ValueError(kind)


KIND = sys.argv[2]
LAYOUTS = {"plain": {"chunks": (128, 128)}, "sharded": {"chunks": (32, 32), "shards": (128, 128)}}
if "s3" in KIND:
    # Each request is slow there.
    del LAYOUTS["plain"]
"""


@posix
@pytest.mark.parametrize(
    "kind", ["memory", "files", "wrapper", "logging", "fsspec memory", "fsspec local"]
)
def test_a_forked_child_reads_and_writes_after_its_parent_did(tmp_path, kind) -> None:
    code = """
store = store_of(KIND)
arrays = [make(store, name, **layout) for name, layout in LAYOUTS.items()]
for array in arrays:
    check(array)
    assert wait(in_child(lambda: reads_and_writes(array))) == 0
    grandchild = lambda: (check(array), os._exit(wait(in_child(lambda: reads_and_writes(array)))))
    assert wait(in_child(grandchild)) == 0
    reads_and_writes(array)
"""
    run(STORES + code, tmp_path, kind)


@posix
@pytest.mark.parametrize("kind", ["files", "fsspec local"])
def test_a_child_forked_during_reads_reads_and_writes(tmp_path, kind) -> None:
    code = """
store = store_of(KIND)
array = make(store)
large, noise = big(store)
stop = threading.Event()
def read():
    with zarr.config.set({"codec_pipeline.requests_maximum": 3}):
        while not stop.is_set():
            large[:8]
readers = [threading.Thread(target=read) for _ in range(2)]
for reader in readers:
    reader.start()
try:
    for _ in range(3):
        time.sleep(0.02)
        assert wait(in_child(lambda: reads_and_writes(array))) == 0
finally:
    stop.set()
    for reader in readers:
        reader.join()
np.testing.assert_array_equal(large[:8], noise[:8])
"""
    run(STORES + code, tmp_path, kind)


@posix
@pytest.mark.parametrize("kind", ["obstore local", "obstore s3", "s3fs"])
def test_a_forked_child_may_be_the_first_to_use_a_store(tmp_path, kind, s3) -> None:
    code = """
def first_use():
    reads_and_writes(make(store_of(KIND), KIND.replace(" ", "-"), **LAYOUTS["sharded"]))


# The parent has used the pipeline before, with another store.
check(make(MemoryStore()))
assert wait(in_child(first_use)) == 0
check(zarr.open_array(store_of(KIND), path=KIND.replace(" ", "-")))
"""
    run(STORES + code, tmp_path, kind, s3.endpoint)


POOL = """
def total(array):
    return int(array[:].sum()) + int(array[5:9, 3:200].sum())


def row(arguments):
    array, number = arguments
    array[128 * number] = 7
    return array[128 * number].tolist()


def main():
    for layout in LAYOUTS.values():
        array = make(store_of(KIND), layout_name(layout), **layout)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            expected = int(DATA.sum()) + int(DATA[5:9, 3:200].sum())
            assert pool.map(total, [array] * 3) == [expected] * 3
            assert pool.map(row, [(array, number) for number in range(2)]) == [[7] * 256] * 2
        data = DATA.copy()
        data[::128] = 7
        np.testing.assert_array_equal(array[:], data)


def layout_name(layout):
    return "sharded" if "shards" in layout else "plain"


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("kind", ["files", "fsspec local", "obstore local", "obstore s3", "s3fs"])
def test_spawned_processes_read_and_write_pickled_arrays(tmp_path, kind, s3) -> None:
    script = tmp_path / "pool.py"
    script.write_text(PRELUDE + STORES + POOL)
    command = [sys.executable, str(script), str(tmp_path / "store"), kind, s3.endpoint]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIME_LIMIT, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr


# -- pickles ----------------------------------------------------------------------------------------


def picklable(path: Path, s3: S3) -> dict[str, Any]:
    number = next(numbers)
    return {
        "obstore, local": lambda: ObjectStore(
            obstore.store.LocalStore(str(path / "objects"), mkdir=True)
        ),
        "obstore, s3": lambda: ObjectStore(s3.obstore(f"pickled-{number}")),
        "fsspec, local": lambda: FsspecStore.from_url(
            f"file://{path / 'files'}", storage_options={"auto_mkdir": True}
        ),
        "fsspec, memory": lambda: FsspecStore.from_url(f"memory://pickled-{number}"),
        "s3fs": lambda: FsspecStore.from_url(
            f"s3://{BUCKET}/pickled-{number}", storage_options=s3.options
        ),
        "wrapper": lambda: WrapperStore(LocalStore(path / "wrapped")),
        "logging": lambda: LoggingStore(LocalStore(path / "logged"), log_level="ERROR"),
        "latency": lambda: LatencyStore(LocalStore(path / "late"), get_latency=1e-3),
    }


@pytest.mark.parametrize("kind", picklable(None, None))  # type: ignore[arg-type]
@pytest.mark.parametrize("name", ["plain", "sharded"])
def test_a_pickled_array_reads_and_writes(tmp_path, s3, kind, name) -> None:
    if kind == "logging" and tuple(map(int, zarr.__version__.split(".")[:2])) < (3, 3):
        pytest.skip("a LoggingStore cannot be pickled before zarr 3.3")
    store = picklable(tmp_path, s3)[kind]()
    array = zarr.create_array(store, shape=SHAPE, dtype="int32", **LAYOUTS[name])
    array[:] = DATA
    copy = pickle.loads(pickle.dumps(array))
    np.testing.assert_array_equal(copy[:], DATA)
    data = DATA.copy()
    copy[3:20, 5:8] = data[3:20, 5:8] = 6
    np.testing.assert_array_equal(array[1:21], data[1:21])
    again = pickle.loads(pickle.dumps(copy))
    np.testing.assert_array_equal(again[:], data)


def test_a_pickled_session_of_icechunk_reads(tmp_path) -> None:
    storage = icechunk.local_filesystem_storage(str(tmp_path / "repository"))
    repository = icechunk.Repository.create(storage)
    session = repository.writable_session("main")
    array = zarr.create_array(session.store, shape=SHAPE, dtype="int32", **LAYOUTS["sharded"])
    array[:] = DATA
    session.commit("an array")
    reading = zarr.open_array(repository.readonly_session("main").store, mode="r")
    check_reads(pickle.loads(pickle.dumps(reading)))
    np.testing.assert_array_equal(reading[:], DATA)
