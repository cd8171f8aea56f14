"""The Python environments of the engines: named by environment variables, or created under .envs/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
MADE = HERE / ".envs"

# This zarr needs Python 3.12; the driver itself also runs on older versions.
_ZARR = ["zarr==3.4.2", "numpy>=2", "google-crc32c"]
PACKAGES = {
    "zarr": _ZARR,
    "zarrs_python": [*_ZARR, "zarrs==0.2.3"],
    "others": [*_ZARR, "tensorstore==0.1.86", "zarrista==0.1.0"],
    "ours": _ZARR,
    "plot": ["matplotlib"],
}


def variable(name: str) -> str:
    """The environment variable that names a ready environment (its folder or its Python)."""
    return f"BENCH_ENV_{name.upper()}"


def python(name: str) -> Path:
    """The interpreter of environment `name`, which is created at first use.

    Raises
    ------
    RuntimeError
        If the environment cannot be created; the message ends with pip's output.
    """
    given = os.environ.get(variable(name))
    if given:
        path = Path(given)
        return _interpreter(path) if path.is_dir() else path
    folder = MADE / name
    wanted = "\n".join(PACKAGES[name])
    stamp = folder / "packages.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making {folder}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        _run([_newest_python(), "-m", "venv", str(folder)])
        _run([_interpreter(folder), "-m", "pip", "install", "-q", *PACKAGES[name]])
        stamp.write_text(wanted)
    if name == "ours":
        _install_ours(folder)
    return _interpreter(folder)


def limit_program() -> Path:
    """The limit program; cargo rebuilds it if it is out of date."""
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    target = MADE / "limit"
    _run(command, cwd=HERE / "limit", env=os.environ | {"CARGO_TARGET_DIR": str(target)})
    return target / "release" / "limit"


def _interpreter(folder: Path) -> Path:
    windows = folder / "Scripts" / "python.exe"
    return windows if windows.exists() else folder / "bin" / "python"


def _newest_python() -> str:
    """The interpreter that creates the environments; `PYTHON` names another one."""
    given = os.environ.get("PYTHON")
    return given or _run([REPOSITORY / ".ci" / "find-python"]).strip()


def _install_ours(folder: Path) -> None:
    """Build this repository in release mode, if a source is newer than the last build."""
    sources = [REPOSITORY / "Cargo.toml", REPOSITORY / "Cargo.lock", REPOSITORY / "pyproject.toml"]
    for tree in ("src", "python"):
        sources += (
            path for path in (REPOSITORY / tree).rglob("*") if path.suffix in (".rs", ".py")
        )
    newest = max(path.stat().st_mtime for path in sources if path.exists())
    stamp = folder / "built.txt"
    if stamp.exists() and float(stamp.read_text()) >= newest:
        return
    print("building zarrs in release mode", file=sys.stderr)
    install = [_interpreter(folder), "-m", "pip", "install", "-q", "--force-reinstall", "--no-deps"]
    _run([*install, str(REPOSITORY)])
    stamp.write_text(str(newest))


def _run(command: list[object], **options: object) -> str:
    words = [str(part) for part in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise RuntimeError(f"{' '.join(words)} failed:\n{tail}")
    return done.stdout
