"""The package itself: import, entry point, types, and a native module that cannot be loaded."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import zarrs
from zarrs import _engine

PACKAGE = Path(zarrs.__file__).parent


def run(code: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
        check=False,
    )


# -- import -----------------------------------------------------------------------------------------


def test_importing_issues_no_warning() -> None:
    done = run("import zarrs", "-W", "error")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_loads_no_module_that_zarr_has_not_loaded() -> None:
    code = """
import sys, zarr
before = set(sys.modules)
import zarrs
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new - {"zarrs"}))
print("zarrs._internal" in sys.modules)
"""
    # The native module is loaded at first use, so that the import cannot fail.
    assert run(code).stdout.splitlines() == ["", "False"]


def test_zarr_imports_the_package_only_when_it_is_configured_or_listed() -> None:
    code = "import sys, zarr; print('zarrs' in sys.modules)"
    assert run(code).stdout.strip() == "False"


def test_the_class_is_found_by_the_path_in_the_configuration_alone() -> None:
    code = """
import zarr
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True})
array = zarr.create_array({}, shape=5, chunks=2, dtype="int32")
array[:] = 3
print(type(array._async_array.codec_pipeline).__qualname__, array[:].tolist())
"""
    assert run(code, "-W", "error").stdout.strip() == "ZarrsCodecPipeline [3, 3, 3, 3, 3]"


def test_the_class_is_found_by_the_environment_alone() -> None:
    code = """
import zarr
array = zarr.create_array({}, shape=5, chunks=2, dtype="int32")
array[:] = 3
print(type(array._async_array.codec_pipeline).__qualname__, array[:].tolist())
"""
    done = run(code, "-W", "error", ZARR_CODEC_PIPELINE__PATH="zarrs.ZarrsCodecPipeline")
    assert done.stdout.strip() == "ZarrsCodecPipeline [3, 3, 3, 3, 3]"


def test_public_names_report_their_public_module() -> None:
    assert set(zarrs.__all__) <= set(vars(zarrs))
    for name in ("ZarrsCodecPipeline", "UnsupportedError", "Explanation"):
        assert getattr(zarrs, name).__module__ == "zarrs"
    assert (
        zarr.registry.fully_qualified_name(zarrs.ZarrsCodecPipeline) == "zarrs.ZarrsCodecPipeline"
    )
    for name in zarrs.__all__:
        assert name.startswith("_") or getattr(zarrs, name).__doc__


# -- what is installed ------------------------------------------------------------------------------


def test_the_entry_point_names_the_class() -> None:
    found = importlib.metadata.entry_points(group="zarr.codec_pipeline")
    ours = [point for point in found if point.value.startswith("zarrs")]
    assert [point.load() for point in ours] == [zarrs.ZarrsCodecPipeline]


def test_the_version_is_that_of_the_distribution() -> None:
    assert zarrs.__version__ == importlib.metadata.version("zarrs")


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_internal.pyi").is_file()


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_the_stubs_fit_the_binary(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "zarrs._internal"]
    # Outside the repository, whose mypy configuration is for the sources.
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=110, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stdout


# -- a native module that cannot be loaded ----------------------------------------------------------


@pytest.fixture(params=["missing", "garbage", "empty", "of_another_platform"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment in which the native module of zarrs cannot be loaded."""
    shutil.copytree(
        PACKAGE, tmp_path / "zarrs", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    )
    suffix = importlib.util.find_spec("_ctypes").origin.rpartition(".")[2]  # type: ignore[union-attr]
    binary = tmp_path / "zarrs" / f"_internal.abi3.{suffix}"
    if request.param == "garbage":
        binary.write_bytes(b"this is not a library" * 100)
    elif request.param == "empty":
        binary.write_bytes(b"")
    elif request.param == "of_another_platform":
        # An ELF header for another architecture.
        binary.write_bytes(b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\xf3\0\1\0\0\0" + bytes(64))
    return {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}


def test_a_broken_binary_does_not_fail_the_import(broken) -> None:
    done = run("import zarrs; print(zarrs.__file__)", "-W", "error", **broken)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(broken["PYTHONPATH"])


def test_a_broken_binary_does_not_affect_other_pipelines(broken) -> None:
    # zarr imports every entry point, whichever pipeline is configured.
    code = """
import importlib.metadata, zarr
[point.load() for point in importlib.metadata.entry_points(group="zarr.codec_pipeline")]
array = zarr.create_array({}, shape=5, chunks=2, dtype="int32")
array[:] = 3
print(array[:].tolist())
"""
    done = run(code, "-W", "error", **broken)
    assert (done.stdout.strip(), done.stderr) == ("[3, 3, 3, 3, 3]", "")


@pytest.mark.parametrize("strict", ["True", "False"])
@pytest.mark.parametrize("action", ["array[:]", "array[0]", "array.__setitem__(0, 1)"])
def test_a_broken_binary_is_reported_at_first_use(broken, strict, action) -> None:
    code = f"""
import zarr, zarrs
array = zarr.create_array({{}}, shape=5, chunks=2, dtype="int32")
zarrs.explain(array)
for _ in range(2):
    try:
        {action}
    except ImportError as error:
        print(error)
"""
    chosen = {
        "ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline",
        "ZARR_CODEC_PIPELINE__STRICT": strict,
    }
    done = run(code, "-W", "error", **broken, **chosen)
    assert done.returncode == 0, done.stderr
    messages = done.stdout.splitlines()
    assert len(messages) == 2
    for message in messages:
        assert re.search(r"zarrs.*_internal|_internal.*zarrs", message)
        assert "circular" not in message


@pytest.mark.parametrize("layout", [{}, {"shards": (12, 10)}, {"zarr_format": 2}])
def test_an_array_is_compiled_once(monkeypatch, layout) -> None:
    """Objects that zarr creates for each call, equal but not identical, must not cause a compilation."""
    compiled = []
    compile_engine = _engine._compile
    monkeypatch.setattr(
        _engine, "_compile", lambda *given: compiled.append(given) or compile_engine(*given)
    )
    options = {"chunks": (4, 5), "dtype": "datetime64[s]", **layout}
    array = zarr.create_array(MemoryStore(), shape=(12, 10), **options)
    for row in range(12):
        array[row] = row
        assert array[row, 3] == np.datetime64(row, "s")
    assert len(compiled) == 1
