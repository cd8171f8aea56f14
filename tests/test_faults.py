"""Faults of the file system: keys that are no regular files, failed writes, limits, permissions, a full disk.

The oracle is zarr's own pipeline on a copy of the same store. Damaged bytes are in test_errors.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def outcome(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except Exception as error:
        return type(error)


def put(array: Any, value: Any) -> None:
    array[:10, :10] = value


ACTIONS: dict[str, Callable[[Any], Any]] = {
    "read": lambda array: array[:12, :12].tolist(),
    "read_element": lambda array: int(array[1, 1]),
    "write": lambda array: put(array, 5),
    "write_element": lambda array: array.__setitem__((1, 1), 5),
    "erase": lambda array: put(array, 0),
}


def directory_for_key(root: Path) -> None:
    (root / "c/0/0").unlink()
    (root / "c/0/0/inside").mkdir(parents=True)
    (root / "c/0/0/inside/file").write_text("not a chunk")


def file_for_parent(root: Path) -> None:
    shutil.rmtree(root / "c/0")
    (root / "c/0").write_text("not a directory")


def dangling_link(root: Path) -> None:
    (root / "c/0/0").unlink()
    (root / "c/0/0").symlink_to(root / "nowhere")


def link_to_file(root: Path) -> None:
    (root / "c/0/0").rename(root / "elsewhere")
    (root / "c/0/0").symlink_to(root / "elsewhere")


OBSTACLES = [directory_for_key, file_for_parent, dangling_link, link_to_file]


@pytest.mark.skipif(sys.platform == "win32", reason="other errors, and no links")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda function: function.__name__)
def test_a_key_that_is_no_regular_file_is_treated_as_by_zarr(
    tmp_path, layout, obstacle, action, oracle
) -> None:
    if obstacle is dangling_link and Version(zarr.__version__) < Version("3.1.3"):
        pytest.skip("this release writes in place, through the link")

    def act(root: Path) -> tuple[Any, list[str]]:
        obstacle(root)
        result = outcome(lambda: ACTIONS[action](zarr.open_array(root)))
        return result, sorted(str(path.relative_to(root)) for path in root.rglob("*"))

    create(tmp_path / "ours", layout)
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs")
    with oracle():
        expected = act(tmp_path / "theirs")
    assert act(tmp_path / "ours") == expected


def block(root: Path, key: str) -> None:
    """Makes writes to the chunk `key` fail."""
    (root / key).unlink()
    (root / key).mkdir()
    (root / key / "file").write_text("")


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_failed_write_leaves_the_other_chunks_whole(tmp_path, layout, workers) -> None:
    array = create(tmp_path, layout)
    block(tmp_path, "c/1/1")
    with zarr.config.set({"codec_pipeline.max_workers": workers}):
        with pytest.raises(OSError, match="c/1/1"):
            array[:] = -DATA
        found = array[:]
    found[10:20, 10:20] = DATA[10:20, 10:20]
    for row in range(0, 40, 10):
        for column in range(0, 30, 10):
            place = (slice(row, row + 10), slice(column, column + 10))
            old_or_new = found[place].tolist()
            assert old_or_new in (DATA[place].tolist(), (-DATA[place]).tolist())
    assert not list(tmp_path.rglob("*partial*"))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1 + 12


def test_the_first_error_in_batch_order_is_raised(tmp_path, layout) -> None:
    array = create(tmp_path, layout)
    for key in ("c/3/0", "c/1/2", "c/2/1"):
        block(tmp_path, key)
    with zarr.config.set({"codec_pipeline.max_workers": 1}):
        with pytest.raises(OSError, match="c/1/2"):
            array[:] = -DATA
        for key in ("c/3/1", "c/0/2"):
            (tmp_path / key).write_bytes(b"damaged")
        with pytest.raises((ValueError, RuntimeError), match="c/0/2"):
            array[:]


FAULTY = """
import errno, os, pathlib, resource, signal, sys, zarr, zarrs
root, layout = pathlib.Path(sys.argv[1]), eval(sys.argv[2])
array = zarr.create_array(root, shape=(40, 30), dtype="int32", **layout)
array[:] = 1
assert (array[:] == 1).all()
def refused(action, number):
    try:
        action()
    except OSError as error:
        assert error.errno == number, error
        print("c/" in str(error))
    else:
        print("no error")
def write(value):
    array[:] = value
"""
PERMISSION_DENIED = """
for path in [root, *root.rglob("*")]:
    path.chmod(0o555 if path.is_dir() else 0o444)
(root / "c/1/1").chmod(0)
if os.getuid() == 0:
    os.seteuid(65534)
for action in (lambda: array[:], lambda: write(2), lambda: write(0), lambda: array[15, 15]):
    refused(action, errno.EACCES)
assert (array[:10] == 1).all()
"""
TOO_MANY_OPEN_FILES = """
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), limits[1]))
for action in (lambda: array[:], lambda: write(2), lambda: array[0, 0]):
    refused(action, errno.EMFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
assert (array[:] == 1).all()
write(3)
assert (array[:] == 3).all()
"""
# Like a full disk, without mounting one: a short write, then an error.
FILE_TOO_LARGE = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import numpy as np
resource.setrlimit(resource.RLIMIT_FSIZE, (128, resource.RLIM_INFINITY))
noise = np.random.default_rng(0).integers(0, 1 << 30, (40, 30))
for action in (lambda: write(noise), lambda: write(noise)):
    refused(action, errno.EFBIG)
assert (array[:] == 1).all()
assert len([path for path in root.rglob("*") if path.is_file()]) == 13
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
write(3)
assert (array[:] == 3).all()
"""
DISK_FULL = """
import numpy as np
noise = np.random.default_rng(0).integers(0, 1 << 30, (40, 30))
free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
(root / "ballast").write_bytes(bytes(free))
refused(lambda: write(noise), errno.ENOSPC)
assert (array[:] == 1).all()
assert len([path for path in root.rglob("*") if path.is_file()]) == 14
(root / "ballast").unlink()
write(3)
assert (array[:] == 3).all()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits and permissions as Linux has them")
@pytest.mark.parametrize("fault", ["PERMISSION_DENIED", "TOO_MANY_OPEN_FILES", "FILE_TOO_LARGE"])
def test_an_error_of_the_operating_system_names_the_chunk(fault, layout) -> None:
    # pytest's own directory is closed to other users.
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    try:
        answers = run_python(FAULTY + globals()[fault], root, repr(layout)).split()
        assert set(answers) == {"True"}, answers
    finally:
        for path in [root, *root.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(root)


@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces")
def test_the_error_of_a_full_disk_names_the_chunk(tmp_path) -> None:
    mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=96k none "$0" && exec "$@"']
    try:
        subprocess.run([*mount, tmp_path, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount")
    answers = run_python(
        FAULTY + DISK_FULL, tmp_path, repr(LAYOUTS["raw"]), before=[*mount, tmp_path]
    )
    assert answers.split() == ["True"]
