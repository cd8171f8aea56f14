"""The interface between workloads and engines, and the list of engines. Each module has one way to open arrays."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np


class CannotDo(Exception):
    """The engine cannot express the workload, which is then skipped, not failed."""


class Array(Protocol):
    """An open array. Every read returns a NumPy array, of the shape that NumPy itself would return."""

    shape: tuple[int, ...]
    value: np.ndarray

    def basic(self, selection: tuple) -> np.ndarray: ...
    def orthogonal(self, selection: tuple) -> np.ndarray: ...
    def points(self, selection: tuple) -> np.ndarray: ...
    def mask(self, mask: np.ndarray) -> np.ndarray: ...
    def write(self, selection: tuple, value: np.ndarray) -> None: ...


@dataclass(frozen=True)
class Engine:
    """`role`: ours, peer, or bound (the floor and the limit, which do not compete)."""

    name: str
    environment: str
    module: str
    role: str = "peer"
    pipeline: str | None = None
    strict: bool = False

    def opener(self, threads: int) -> Any:
        """`open(path, store)` of this engine; importing the engine happens here."""
        module = import_module(f"engines.{self.module}")
        return module.opener(self, threads)


_ZARR = "zarr.core.codec_pipeline"
_ALL = [
    # Strict, so that a workload that falls back to zarr-python's own pipeline does not count as ours.
    Engine("ours", "ours", "with_zarr", "ours", "zarrs.ZarrsCodecPipeline", strict=True),
    Engine("batched", "zarr", "with_zarr", pipeline=f"{_ZARR}.BatchedCodecPipeline"),
    Engine("fused", "zarr", "with_zarr", pipeline=f"{_ZARR}.FusedCodecPipeline"),
    Engine("zarrs-python", "zarrs_python", "with_zarr", pipeline="zarrs.ZarrsCodecPipeline"),
    Engine("tensorstore", "others", "with_tensorstore"),
    Engine("zarrista", "others", "with_zarrista"),
    Engine("floor", "zarr", "with_zarr", "bound", "floor.FloorPipeline"),
    Engine("limit", "limit", "", "bound"),
]
ENGINES = {engine.name: engine for engine in _ALL}
PEERS = tuple(engine.name for engine in _ALL if engine.role == "peer")
