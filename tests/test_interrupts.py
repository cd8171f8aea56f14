"""Cancellation, Ctrl-C, kills, exits and thread counts, each in a separate Python process, as in test_processes.py."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from support.processes import ENVIRONMENT, PRELUDE, TIME_LIMIT, posix, run

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


@pytest.fixture(params=["files", "memory"])
def store_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("action", ["read", "write"])
def test_a_cancelled_task_starts_no_further_chunk(tmp_path, store_kind, action) -> None:
    code = """
import shutil
store = open_store()
noise = np.random.default_rng(1).integers(0, 1 << 12, (512, 1 << 15), "int32")
large = make(store, "big", noise, chunks=(1, 1 << 15))
everything = (slice(None), slice(None))
def written():
    if isinstance(store, MemoryStore):
        return {key for key, value in store._store_dict.items() if "/c/" in key and value is not old[key]}
    return {key for key in os.listdir(ROOT + "/big/c") for _ in os.listdir(f"{ROOT}/big/c/{key}")}
old = dict(store._store_dict) if isinstance(store, MemoryStore) else {}
async def cancel():
    if sys.argv[3] == "read":
        task = asyncio.ensure_future(large._async_array.getitem(everything))
    else:
        if not isinstance(store, MemoryStore):
            shutil.rmtree(ROOT + "/big/c")
            os.mkdir(ROOT + "/big/c")
        task = asyncio.ensure_future(large._async_array.setitem(everything, -noise))
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    else:
        raise AssertionError("not cancelled")
    return written() if sys.argv[3] == "write" else None
after_cancel = asyncio.run(cancel())
if sys.argv[3] == "write":
    time.sleep(0.3)
    assert written() == after_cancel
    assert len(after_cancel) < 512
    large[:] = -noise
    noise = -noise
np.testing.assert_array_equal(large[:], noise)
check(make(store))
"""
    run(code, tmp_path, store_kind, action, ZARR_CODEC_PIPELINE__MAX_WORKERS="2")


@posix
@pytest.mark.parametrize("action", ["read", "write"])
def test_ctrl_c_interrupts_and_leaves_the_process_usable(tmp_path, store_kind, action) -> None:
    code = """
# A program that is started in the background may be told to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
store = open_store()
large, noise = big(store)
print("ready", flush=True)
started = time.monotonic()
try:
    while time.monotonic() < started + 20:
        if sys.argv[3] == "read":
            large[:]
        else:
            large[:] = noise
except KeyboardInterrupt:
    print("interrupted", flush=True)
np.testing.assert_array_equal(large[:], noise)
reads_and_writes(make(store))
"""
    command = [sys.executable, "-c", PRELUDE + code, str(tmp_path), store_kind, action]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.15)
        process.send_signal(signal.SIGINT)
        try:
            output, errors = process.communicate(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, errors
    assert output == "interrupted\n"


EXITS = {
    "daemon threads": "threading.Thread(target=work, args=(number,), daemon=True)",
    "threads that end": "threading.Thread(target=lambda number=number: once(number))",
}


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize("action", ["read", "mixed"])
def test_an_interpreter_exits_during_a_call(tmp_path, store_kind, kind, action) -> None:
    code = """
store = open_store()
arrays = [big(store, f"big{number}")[0] for number in range(2)]
noise = arrays[0][:]
started = threading.Event()
def once(number):
    array = arrays[number % 2]
    writes = sys.argv[3] == "mixed" and number % 2
    started.set()
    if writes:
        array[:] = noise
    else:
        array[:]
def work(number):
    while True:
        once(number)
threads = [THREAD for number in range(4)]
for thread in threads:
    thread.start()
started.wait()
time.sleep(0.01)
sys.exit(0)
""".replace("THREAD", EXITS[kind])
    command = [sys.executable, "-c", PRELUDE + code, str(tmp_path), store_kind, action]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIME_LIMIT, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    for word in ("panicked", "Fatal", "Segmentation", "never retrieved"):
        assert word not in done.stderr, done.stderr


def test_an_exit_during_reads_on_threads_leaves_zarrs_event_loop_free(tmp_path) -> None:
    # zarr closes its loop at exit, and reports an error if the loop is still busy after 0.2 seconds.
    code = """
noise = np.random.default_rng(1).integers(0, 1 << 12, (64, 1 << 18), "int32")
array = make(MemoryStore(), data=noise, chunks=(1, 1 << 18))
def work():
    while True:
        array[:]
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
"""
    command = [sys.executable, "-c", PRELUDE + code, str(tmp_path)]
    for _ in range(3):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=False
        )
        assert done.returncode == 0
        assert "Cannot close a running event loop" not in done.stderr


@pytest.mark.parametrize("action", ["read", "write"])
def test_an_interpreter_exits_during_a_task_that_is_not_awaited(tmp_path, action) -> None:
    code = """
large, noise = big(LocalStore(ROOT))
async def main():
    part = (slice(None), slice(None))
    work = large._async_array.getitem(part) if sys.argv[2] == "read" else large._async_array.setitem(part, noise)
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.02)
asyncio.run(main())
"""
    run(code, tmp_path, action)


@posix
def test_a_killed_writer_leaves_each_chunk_old_or_new(tmp_path) -> None:
    code = """
import pathlib, random
random.seed(3)
root = pathlib.Path(ROOT)
plain = make(LocalStore(ROOT), "plain", np.full((64, 1024), 1, "int32"), chunks=(1, 1024), compressors=None)
sharded = make(LocalStore(ROOT), "sharded", np.full((64, 1024), 1, "int32"), chunks=(2, 64), shards=(8, 1024))
def write():
    for value in range(2, 1 << 20):
        plain[:] = value
        sharded[:] = value
        sharded[1::8] = value + 1
keys = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
for turn in range(25):
    child = in_child(write)
    time.sleep(random.uniform(0.01, 0.12))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for row in plain[:]:
        assert len(np.unique(row)) == 1
    for shard in np.split(sharded[:], 8):
        values = np.unique(shard)
        assert len(values) == 1 or (len(values) == 2 and values[1] == values[0] + 1 and (shard[1] == values[1]).all())
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert keys <= files
    # A key that exists can only be replaced by renaming: a kill just before that leaves a whole
    # file, under the name that zarr gives it too.
    for path in files - keys:
        assert path.endswith(".partial"), path
        if path.startswith("plain"):
            assert len(np.unique(np.fromfile(root / path, "int32"))) == 1
        (root / path).unlink()
"""
    run(code, tmp_path)


@posix
def test_a_killed_writer_of_new_chunks_leaves_no_other_file(tmp_path) -> None:
    code = """
import pathlib, random, shutil
random.seed(4)
array = make(LocalStore(ROOT), "a", np.full((64, 1024), 1, "int32"), chunks=(1, 1024), compressors=None)
keys = set(zarr.core.sync.sync(zarr.core.sync._collect_aiterator(array.store.list())))
def write():
    array[:] = 2
for turn in range(25):
    shutil.rmtree(ROOT + "/a/c", ignore_errors=True)
    child = in_child(write)
    time.sleep(random.uniform(0.0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert set(np.unique(array[:])) <= {0, 2}
    for row in array[:]:
        assert len(np.unique(row)) == 1
    assert set(zarr.core.sync.sync(zarr.core.sync._collect_aiterator(array.store.list()))) <= keys
"""
    run(code, tmp_path)


# -- thread counts ----------------------------------------------------------------------------------


@linux
def test_nothing_starts_a_thread_before_the_first_large_read(tmp_path) -> None:
    code = """
tasks = lambda: len(os.listdir("/proc/self/task"))
before = tasks()
assert "zarrs" not in sys.modules
import zarrs
assert tasks() == before
array = zarr.create_array(LocalStore(ROOT), shape=(1000, 1000), chunks=(10, 10), dtype="int32")
assert not thread_names()
zarr.open_array(ROOT)
assert not thread_names()
array[5, 5]
assert not thread_names()
array[:] = 1
assert thread_names()
"""
    run(code, tmp_path)


@linux
@pytest.mark.parametrize("limit", [1, 3])
def test_max_workers_limits_the_threads(tmp_path, store_kind, limit) -> None:
    code = """
store = open_store()
array = make(store)
sharded = make(store, "sharded", chunks=(8, 8), shards=(256, 256))
large, noise = big(store)
for turn in range(3):
    check(array)
    check(sharded)
    large[:]
    large[:8] = noise[:8]
print(len(thread_names()))
"""
    started = int(run(code, tmp_path, store_kind, ZARR_CODEC_PIPELINE__MAX_WORKERS=str(limit)))
    assert started <= limit


@linux
@pytest.mark.parametrize("maximum", [1, 2, 4])
def test_chunk_concurrent_maximum_limits_the_chunks_in_flight(tmp_path, maximum) -> None:
    # Chunks that are named pipes: a thread that opens one blocks, which /proc shows.
    code = """
data = np.random.default_rng(1).integers(0, 1 << 12, (8, 1 << 17), "int32")
array = make(LocalStore(ROOT), "a", data, chunks=(1, 1 << 17))
paths = [f"{ROOT}/a/c/{number}/0" for number in range(8)]
for path in paths:
    os.rename(path, path + ".kept")
    os.mkfifo(path)
def waiting():
    count = 0
    for number in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{number}/wchan") as file:
            count += file.read() == "wait_for_partner"
    return count
zarr.config.set({"codec_pipeline.chunk_concurrent_maximum": int(sys.argv[2])})
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    reading = pool.submit(lambda: array[:])
    deadline = time.monotonic() + 20
    while waiting() < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    print(waiting())
    for path in paths:
        os.open(path, os.O_RDWR)
    # No chunk can be read from a pipe by position.
    assert isinstance(reading.exception(), OSError)
for path in paths:
    os.rename(path + ".kept", path)
np.testing.assert_array_equal(array[:], data)
"""
    in_flight = int(run(code, tmp_path, maximum))
    if not in_flight:
        pytest.skip("the kernel does not say where threads wait")
    assert in_flight == maximum
