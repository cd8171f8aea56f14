"""Archives opened for reading: zarr's own pipeline is the oracle for values, missing chunks and archives of other writers.

Writing archives, and stores over file objects, are left to zarr. Damaged archives are in test_zip_damage.py.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from packaging.version import Version
from zarr.storage import LocalStore, ZipStore

import zarrs
from support.archives import (
    DATA,
    LAYOUTS,
    MODES,
    SELECTIONS,
    SHAPE,
    assert_same,
    fill,
    is_native,
    is_native_or_refused,
    make,
    objects_of,
    opened,
    pack,
    patched_directory,
)
from zarrs import _zip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="zarr's own way there")


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


@pytest.fixture(params=MODES)
def method(request: pytest.FixtureRequest) -> int:
    return MODES[request.param]


# -- values -----------------------------------------------------------------------------------------


def test_every_selection_returns_what_zarr_returns(tmp_path, layout, method, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    assert is_native(path)
    for select in SELECTIONS.values():
        assert not isinstance(assert_same(path, oracle, select), type)


def test_missing_chunks_are_filled_and_reported(tmp_path, layout, method, oracle) -> None:
    value = np.full(SHAPE, 7, "int32")
    value[12:15, 5:25] = 3
    path = make(tmp_path / "a.zip", layout, method, value)
    assert_same(path, oracle, lambda z: z[:])
    if "read_missing_chunks" not in zarr.config.get("array"):
        return
    for wanted in (slice(12, 15), slice(0, 5)):
        with zarr.config.set({"array.read_missing_chunks": False}):
            assert_same(path, oracle, lambda z, wanted=wanted: z[wanted, 5:8])


def test_chunks_large_enough_to_be_read_in_parts(tmp_path, method, oracle) -> None:
    value = np.arange(1 << 19, dtype="int32").reshape(512, 1024)
    for name in ("raw", "blosc"):
        layout = {**LAYOUTS[name], "chunks": (256, 512)}
        path = make(tmp_path / f"{name}.zip", layout, method, value)
        for select in (lambda z: z[5], lambda z: z[300:303, 17], lambda z: z[:], lambda z: z[:, 9]):
            assert_same(path, oracle, select)
        with opened(path) as array:
            # Twice in one archive: the second read need not verify the checksum again.
            for _ in range(2):
                np.testing.assert_array_equal(array[300:303, 17], value[300:303, 17])


def test_arrays_of_a_group_share_one_handle(tmp_path, method) -> None:
    store = ZipStore(tmp_path / "a.zip", mode="w", compression=method)
    for name in ("a", "ä/b c"):
        fill(store, {}, name=name)
    store.close()
    store = ZipStore(tmp_path / "a.zip")
    group = zarr.open_group(store, mode="r")
    for name in ("a", "ä/b c"):
        np.testing.assert_array_equal(group[name][:], DATA)
    assert _zip.archive(store) is _zip.archive(store)
    store.close()


# -- archives of other writers ----------------------------------------------------------------------


def test_the_last_of_two_entries_with_one_name_counts(tmp_path, layout, method, oracle) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    newer = objects_of(make(tmp_path / "b.zip", layout, method, DATA + 5))
    with zipfile.ZipFile(path, "a", compression=method) as archive:
        for name, data in newer.items():
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr(name, data)
    found = assert_same(path, oracle, lambda z: z[:])
    np.testing.assert_array_equal(found, DATA + 5)
    assert is_native(path)


def test_zip64_entries_of_any_size(tmp_path, layout, method, oracle) -> None:
    objects = objects_of(make(tmp_path / "a.zip", layout, method))
    path = pack(tmp_path / "b.zip", objects, method, force_zip64=True)
    assert is_native(path)
    assert_same(path, oracle, lambda z: z[:])
    assert_same(path, oracle, lambda z: z[3:5, 2])


def test_a_zip64_directory_of_many_entries(tmp_path, method, oracle) -> None:
    objects = objects_of(make(tmp_path / "a.zip", {}, method))
    objects = {f"other/{number}": b"" for number in range(1 << 16)} | objects
    path = pack(tmp_path / "b.zip", objects, method)
    assert b"PK\x06\x06" in path.read_bytes()
    assert is_native(path)
    assert_same(path, oracle, lambda z: z[3:33, 2])


def test_directories_comments_and_bytes_before_the_archive(
    tmp_path, layout, method, oracle
) -> None:
    source = tmp_path / "source"
    fill(LocalStore(source), layout)
    path = tmp_path / "a.zip"
    path.write_bytes(b"#!/bin/sh\n" * 9)
    with zipfile.ZipFile(path, "a", compression=method) as archive:
        for entry in sorted(source.rglob("*")):
            archive.write(entry, entry.relative_to(source))
        archive.comment = b"made by hand"
    assert any(
        name.endswith("/") for name in zipfile.ZipFile(path).namelist()
    ) or "zarr_format" in (layout)
    assert is_native(path)
    for select in SELECTIONS.values():
        assert_same(path, oracle, select)


@pytest.mark.parametrize("other", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_with_other_methods_are_awaited_in_python(tmp_path, other, oracle) -> None:
    path = make(tmp_path / "a.zip", {}, other)
    assert not is_native(path)
    assert_same(path, oracle, lambda z: z[3:33, 2])
    with opened(path) as array:
        array[:]
        assert "is compressed by" in zarrs.explain(array).store


def test_an_encrypted_entry_is_left_to_zarr(tmp_path, method, oracle) -> None:
    path = make(tmp_path / "a.zip", {}, method)
    patched_directory(path, "c/0/0", 8, b"\x01\x00")
    assert not is_native_or_refused(path)
    assert assert_same(path, oracle, lambda z: z[:]) is RuntimeError


# -- the store's own state --------------------------------------------------------------------------


def test_a_closed_store_is_reopened(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    store = ZipStore(path)
    array = zarr.open_array(store, mode="r")
    np.testing.assert_array_equal(array[:], DATA)
    make(tmp_path / "b.zip", layout, method, DATA + 1)
    os.replace(tmp_path / "b.zip", path)
    # An open store keeps reading the archive that it opened.
    np.testing.assert_array_equal(array[:], DATA)
    store.close()
    np.testing.assert_array_equal(array[:], DATA + 1)
    store.close()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        array[:]


def test_closed_archives_are_released(tmp_path, method) -> None:
    path = make(tmp_path / "a.zip", {}, method)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        with opened(path) as array:
            array[:]
        del array
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_writes_are_refused(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    before = path.read_bytes()
    with opened(path) as array:
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 1
    array = zarr.open_array(ZipStore(path, mode="r", read_only=True), mode="r")
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    assert path.read_bytes() == before


class Subclass(ZipStore):
    pass


@pytest.mark.parametrize("kind", ["file object", "append", "subclass", "writable"])
def test_archives_opened_in_other_ways_are_awaited_in_python(tmp_path, kind, method) -> None:
    path = make(tmp_path / "a.zip", {}, method)
    if kind == "file object" and Version(zarr.__version__) < Version("3.4"):
        pytest.skip("older releases take paths only")
    with path.open("rb") as file:
        store = {
            "file object": lambda: ZipStore(file),
            "append": lambda: ZipStore(path, mode="a"),
            "subclass": lambda: Subclass(path),
            "writable": lambda: ZipStore(path, mode="r", read_only=False),
        }[kind]()
        array = zarr.open_array(store, mode="r" if store.read_only else "r+")
        np.testing.assert_array_equal(array[:], DATA)
        assert zarrs.explain(array).store.startswith("awaited in Python")
        store.close()


def test_pickled_arrays_reopen_the_archive(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    with opened(path) as array:
        array[:]
        state = pickle.dumps(array)
        assert b"_internal" not in state
        copied = pickle.loads(state)
        np.testing.assert_array_equal(copied[:], DATA)
        copied.store.close()


def test_many_threads_read_one_archive(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    wrong: list[Any] = []

    def read(array: Any, number: int) -> None:
        for at in range(30):
            row = (number * 7 + at) % 40
            if not np.array_equal(array[row], DATA[row]):
                wrong.append((number, at))

    with opened(path) as array:
        threads = [threading.Thread(target=read, args=(array, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def _child(path: str, connection: Any) -> None:
    array = _SHARED[path]
    connection.send(bool(np.array_equal(array[:], DATA) and array[5, 5] == DATA[5, 5]))


_SHARED: dict[str, Any] = {}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_children_read_the_inherited_archive(tmp_path, layout, method) -> None:
    path = make(tmp_path / "a.zip", layout, method)
    with opened(path) as array:
        array[:]
        # A child inherits the open file, even if the path has changed.
        shutil.move(path, tmp_path / "moved.zip")
        _SHARED[str(path)] = array
        context = multiprocessing.get_context("fork")
        for _ in range(2):
            here, there = context.Pipe()
            child = context.Process(target=_child, args=(str(path), there))
            child.start()
            assert here.poll(30)
            assert here.recv() is True
            child.join(30)
        np.testing.assert_array_equal(array[:], DATA)
