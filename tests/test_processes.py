"""Forks, spawned processes, threads and event loops: results stay correct, nothing deadlocks.

Each scenario runs in a separate Python process with a time limit, and exits with 0 if its assertions hold.
Interrupts, kills and exits are in test_interrupts.py.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.processes import ENVIRONMENT, PRELUDE, TIME_LIMIT, posix, run


@pytest.fixture(params=["files", "memory"])
def store_kind(request: pytest.FixtureRequest) -> str:
    return request.param


# -- processes --------------------------------------------------------------------------------------


@posix
def test_a_forked_child_reads_and_writes_after_its_parent(tmp_path, store_kind) -> None:
    code = """
array = make(open_store())
check(array)
assert wait(in_child(lambda: reads_and_writes(array))) == 0
# A grandchild, then the parent.
grandchild = lambda: (check(array), os._exit(wait(in_child(lambda: reads_and_writes(array)))))
assert wait(in_child(grandchild)) == 0
reads_and_writes(array)
"""
    run(code, tmp_path, store_kind)


@posix
def test_a_child_forked_during_a_long_read_reads_and_writes(tmp_path, store_kind) -> None:
    code = """
store = open_store()
array = make(store)
large, noise = big(store)
stop = threading.Event()
def read():
    while not stop.is_set():
        large[:]
reader = threading.Thread(target=read)
reader.start()
try:
    for _ in range(8):
        time.sleep(0.02)
        assert wait(in_child(lambda: reads_and_writes(array))) == 0
finally:
    stop.set()
    reader.join()
np.testing.assert_array_equal(large[:], noise)
"""
    run(code, tmp_path, store_kind)


@posix
def test_a_child_forked_during_a_long_write_reads_and_writes(tmp_path) -> None:
    code = """
store = open_store()
array = make(store)
large, noise = big(store)
stop = threading.Event()
def write():
    while not stop.is_set():
        large[:16] = noise[:16]
writer = threading.Thread(target=write)
writer.start()
try:
    for _ in range(8):
        time.sleep(0.02)
        assert wait(in_child(lambda: reads_and_writes(array))) == 0
finally:
    stop.set()
    writer.join()
np.testing.assert_array_equal(large[:], noise)
"""
    run(code, tmp_path)


POOLS = """
def total(array):
    return int(array[:].sum())


def row(arguments):
    array, number = arguments
    array[number] = array[number] * 2
    return array[number].tolist()


def main():
    array = make(LocalStore(ROOT), chunks=(1, 256))
    check(array)
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        assert pool.map(total, [array] * 4) == [int(DATA.sum())] * 4
        rows = pool.map(row, [(array, number) for number in range(16)])
    assert rows == (DATA[:16] * 2).tolist()
    check(array[:16], DATA[:16] * 2)
    np.testing.assert_array_equal(array[16:], DATA[16:])


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", [pytest.param("fork", marks=posix), "spawn"])
def test_pools_of_processes_read_and_write_pickled_arrays(tmp_path, method) -> None:
    script = tmp_path / "pool.py"
    code = POOLS.replace(
        "check(array[:16], DATA[:16] * 2)", "assert (array[:16] == DATA[:16] * 2).all()"
    )
    script.write_text(PRELUDE + code)
    command = [sys.executable, str(script), str(tmp_path / "store"), method]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIME_LIMIT, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_arrays_are_pickled_without_native_handles_and_with_the_configuration(tmp_path) -> None:
    code = """
array = make(LocalStore(ROOT))
check(array)
copy = pickle.loads(pickle.dumps(array))
assert copy == array
check(copy)
with zarr.config.set({"codec_pipeline.max_workers": 1}):
    check(pickle.loads(pickle.dumps(copy)))
pipeline = array._async_array.codec_pipeline
assert pickle.loads(pickle.dumps(pipeline)) == pipeline
"""
    run(code, tmp_path)


# -- threads and event loops ------------------------------------------------------------------------


def test_32_threads_read_and_write_separate_regions(tmp_path, store_kind) -> None:
    code = """
array = make(open_store())
whole = make(array.store, "b", chunks=(8, 8), shards=(16, 16))
barrier = threading.Barrier(32)
def work(number):
    barrier.wait()
    own = slice(8 * number, 8 * number + 8)
    chunk = slice(64 * (number // 8), 64 * (number // 8) + 16), slice(32 * (number % 8), 32 * (number % 8) + 16)
    for turn in range(10):
        np.testing.assert_array_equal(array[own], DATA[own])
        whole[chunk] = number + turn
        assert (whole[chunk] == number + turn).all()
    return number
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    assert list(pool.map(work, range(32))) == list(range(32))
"""
    run(code, tmp_path, store_kind)


def test_event_loops_in_turn_and_concurrently(tmp_path, store_kind) -> None:
    code = """
array = make(open_store())
small = make(array.store, "small", DATA[:8, :8], chunks=(8, 8))
async def read_and_write():
    found = await array._async_array.getitem((slice(None), slice(None)))
    np.testing.assert_array_equal(found, DATA)
    await array._async_array.setitem((slice(0, 32), slice(None)), DATA[:32])
    assert (await small._async_array.getitem((0, 0))) == DATA[0, 0]
for _ in range(3):
    asyncio.run(read_and_write())
check(array)
threads = [threading.Thread(target=asyncio.run, args=(read_and_write(),)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
check(array)
"""
    run(code, tmp_path, store_kind)


def test_fifty_arrays_in_one_gather(tmp_path, store_kind) -> None:
    code = """
store = open_store()
arrays = [make(store, f"a{number}", DATA[:64, :64] + number, chunks=(16, 16)) for number in range(50)]
async def read():
    return await asyncio.gather(*(a._async_array.getitem((slice(None), slice(None))) for a in arrays))
for number, found in enumerate(asyncio.run(read())):
    np.testing.assert_array_equal(found, DATA[:64, :64] + number)
"""
    run(code, tmp_path, store_kind)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask_computes_and_stores(tmp_path, scheduler) -> None:
    pytest.importorskip("dask.array")
    code = """
import dask, dask.array
def main():
    array = make(LocalStore(ROOT))
    target = make(LocalStore(ROOT), "target", DATA * 0)
    with dask.config.set(scheduler=sys.argv[2], num_workers=2):
        lazy = dask.array.from_array(array, chunks=(128, 64))
        assert int((lazy + 1).sum().compute()) == int((DATA + 1).sum())
        dask.array.store(lazy * 2, target, lock=False)
    np.testing.assert_array_equal(target[:], DATA * 2)
if __name__ == "__main__":
    main()
"""
    run(code, tmp_path, scheduler)


def test_python_threads_keep_running_during_a_long_read(tmp_path, store_kind) -> None:
    code = """
large, noise = big(open_store())
ticks = 0
stop = threading.Event()
def tick():
    global ticks
    while not stop.is_set():
        ticks += 1
        time.sleep(0.001)
sys.setswitchinterval(0.0005)
ticker = threading.Thread(target=tick)
ticker.start()
before, started = ticks, time.monotonic()
for _ in range(5):
    large[:]
seconds = time.monotonic() - started
during = ticks - before
stop.set()
ticker.join()
# A thousand a second are possible; with the GIL held it would be one or two in all.
assert during > 5 + 20 * seconds, (during, seconds)
"""
    run(code, tmp_path, store_kind)
