"""zarr-python with a pipeline chosen by name: batched, fused, zarrs-python, ours, the floor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from engines import Array, Engine


class ZarrArray:
    value: np.ndarray

    def __init__(self, array: zarr.Array) -> None:
        self.array = array
        self.shape = array.shape

    def basic(self, selection: tuple) -> Any:
        return self.array[selection]

    def orthogonal(self, selection: tuple) -> Any:
        return self.array.oindex[selection]

    def points(self, selection: tuple) -> Any:
        return self.array.vindex[selection]

    def mask(self, mask: np.ndarray) -> Any:
        return self.array[mask]

    def write(self, selection: tuple, value: np.ndarray) -> None:
        self.array[selection] = value


def _in_memory(path: Path) -> zarr.storage.MemoryStore:
    from zarr.core.buffer.cpu import Buffer

    files = (file for file in path.rglob("*") if file.is_file())
    return zarr.storage.MemoryStore(
        {file.relative_to(path).as_posix(): Buffer.from_bytes(file.read_bytes()) for file in files}
    )


def opener(engine: Engine, threads: int) -> Callable[[str, str], Array]:
    if engine.name == "floor":
        import floor  # noqa: F401 (registers itself with zarr)
    settings: dict[str, Any] = {
        "codec_pipeline.path": engine.pipeline,
        "codec_pipeline.max_workers": threads,
        "threading.max_workers": threads,
    }
    if engine.strict:
        settings["codec_pipeline.strict"] = True
    zarr.config.set(settings)

    def open_array(path: str, store: str) -> Array:
        source = _in_memory(Path(path)) if store == "memory" else path
        return ZarrArray(zarr.open_array(source, mode="r+"))

    return open_array
