"""Scenarios in a separate Python process with a time limit: environment, prelude and runner."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
posix = pytest.mark.skipif(sys.platform == "win32", reason="fork and signals")
TIME_LIMIT = 60
ENVIRONMENT = {
    **os.environ,
    # So that scenarios can import `support`.
    "PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH")))),
    "ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline",
    "ZARR_CODEC_PIPELINE__STRICT": "True",
    "ZARR_CODEC_PIPELINE__MAX_WORKERS": "4",
    "PYTHONFAULTHANDLER": "1",
}
PRELUDE = """
import asyncio, concurrent.futures, multiprocessing, os, pickle, signal, sys, threading, time, warnings
import numpy as np, zarr
from zarr.storage import LocalStore, MemoryStore
# Python warns about a fork of a process with threads; the claim is that it works.
warnings.filterwarnings("ignore", message=".*multi-threaded.*fork.*", category=DeprecationWarning)

ROOT = sys.argv[1]
DATA = np.random.default_rng(0).integers(0, 1000, (256, 256), "int32")


def make(store, name="a", data=DATA, **more):
    more = {"chunks": (32, 32), **more}
    array = zarr.create_array(store, name=name, shape=data.shape, dtype=data.dtype, **more)
    array[:] = data
    return array


def open_store():
    return MemoryStore() if "memory" in sys.argv else LocalStore(ROOT)


def big(store, name="big"):
    # 16 MB, tens of milliseconds to decode.
    noise = np.random.default_rng(1).integers(0, 1 << 12, (64, 1 << 16), "int32")
    return make(store, name, noise, chunks=(1, 1 << 16)), noise


def check(array, data=DATA):
    np.testing.assert_array_equal(array[:], data)
    np.testing.assert_array_equal(array[3:70, 5], data[3:70, 5])
    assert array[1, 1] == data[1, 1]


def reads_and_writes(array):
    check(array)
    array[:] = DATA + 1
    check(array, DATA + 1)
    array[5:9, 5:9] = 0
    array[:] = DATA
    check(array)


def thread_names():
    names = []
    for number in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{number}/comm") as file:
            names.append(file.read().strip())
    return [name for name in names if name.startswith("zarrs")]


def in_child(action):
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    return child


def wait(child, limit=20):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"
"""


def run(code: str, *arguments: Any, **environment: str) -> str:
    """The output of `code`, run after PRELUDE; it must exit with 0."""
    command = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    environment = {**ENVIRONMENT, **environment}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIME_LIMIT, env=environment, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    assert not done.stderr, done.stderr
    return done.stdout
