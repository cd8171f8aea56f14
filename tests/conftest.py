"""Fixtures of every test: strict mode, the two native stores, zarr's own pipeline as the oracle.

In strict mode a passing test shows that Rust ran. Arrays, selections and claims belong to the test files.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zarr
from zarr.storage import LocalStore, MemoryStore

from support import loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zarr.abc.store import Store

UNDER_TEST = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}
ZARRS_OWN = {
    "codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline",
    "codec_pipeline.strict": False,
}
METADATA_FILES = {"zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}


@contextmanager
def _zarrs_own_pipeline() -> Iterator[None]:
    with zarr.config.set(ZARRS_OWN):
        yield


def _chunks_in(store: Store) -> dict[str, bytes]:
    if isinstance(store, MemoryStore):
        found = {key: value.to_bytes() for key, value in store._store_dict.items()}
    elif isinstance(store, LocalStore):
        # Every file counts, whatever its name: a leftover temporary file is a stray key.
        root = Path(store.root)
        files = (path for path in root.rglob("*") if path.is_file())
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    else:
        raise TypeError(f"no way to list {type(store).__name__} without zarr")
    return {
        key: value for key, value in found.items() if key.rsplit("/", 1)[-1] not in METADATA_FILES
    }


@pytest.fixture(autouse=True)
def strict_pipeline() -> Iterator[None]:
    """Every array that a test opens uses zarrs in strict mode."""
    with zarr.config.set(UNDER_TEST):
        yield


@pytest.fixture(params=["local", "memory"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """A function that returns a new, empty store of the kind under test at each call."""
    made: list[Store] = []

    def make() -> Store:
        if request.param == "memory":
            return MemoryStore()
        made.append(LocalStore(tmp_path / f"store{len(made)}"))
        return made[-1]

    return make


@pytest.fixture
def store(make_store: Callable[[], Store]) -> Store:
    """An empty store: LocalStore, then MemoryStore."""
    return make_store()


@pytest.fixture
def oracle() -> Callable[[], AbstractContextManager[None]]:
    """``with oracle():`` selects zarr's own batched pipeline.

    An array keeps the pipeline it was opened with, but zarr's sharding codec uses the one that is
    configured at the time of each call: open **and** use the oracle's arrays inside the context.
    """
    return _zarrs_own_pipeline


@pytest.fixture
def chunks_in() -> Callable[[Store], dict[str, bytes]]:
    """A function: store → {key: bytes} of all stored objects except metadata, read without zarr."""
    return _chunks_in


@pytest.fixture(scope="session")
def s3() -> Iterator[loopback.S3]:
    """An S3 server on this machine."""
    with loopback.s3() as server:
        yield server


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[loopback.Web]:
    """A web server on this machine."""
    with loopback.web(tmp_path_factory.mktemp("web")) as server:
        if server is None:
            pytest.skip("nginx is not installed")
        yield server
