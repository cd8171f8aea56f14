"""Run zarr-python's own tests under this pipeline.

Downloads the source distribution of the installed zarr, unpacks it outside the repository and runs
its tests with the plugin beside this file. Arguments are passed to pytest: `run.py -k indexing`.
ZARR_SDIST names a source distribution on disk, for machines without network access.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent

LEFT_OUT = [
    # Benchmarks, slower than all other tests together.
    "--ignore=tests/benchmarks",
    # Runs scripts with uv in separate environments without this package.
    "--ignore=tests/test_examples.py",
    # Checks docstrings; its ids contain addresses, on which the workers of pytest-xdist disagree.
    "--deselect=tests/test_api/test_synchronous.py::test_docstring_consistent_parameters",
]


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="zarr-suite-") as directory:
        sources = unpack(source_distribution(Path(directory)), Path(directory))
        environment = os.environ | {
            "ZARR_CODEC_PIPELINE__PATH": "zarrs.ZarrsCodecPipeline",
            "PYTHONPATH": str(HERE),
            # zarr's own profile: the same examples in every run, so that failures are reproducible.
            "HYPOTHESIS_PROFILE": "ci",
        }
        command = [sys.executable, "-m", "pytest", "-p", "plugin", "-p", "no:cacheprovider"]
        command += ["-n", "auto", "--timeout", "300", "-q", *LEFT_OUT, "tests", *sys.argv[1:]]
        return subprocess.run(command, cwd=sources, env=environment, check=False).returncode


def source_distribution(directory: Path) -> Path:
    """Return the path of the source distribution of the installed zarr."""
    named = os.environ.get("ZARR_SDIST")
    if named:
        return Path(named)
    requirement = f"zarr=={version('zarr')}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary"]
    command += ["zarr", "--no-build-isolation", "--dest", str(directory), requirement]
    subprocess.run(command, check=True)
    return next(directory.glob("zarr-*.tar.gz"))


def unpack(archive: Path, directory: Path) -> Path:
    """Return the directory of the unpacked sources."""
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory / archive.name.removesuffix(".tar.gz")


if __name__ == "__main__":
    sys.exit(main())
