"""zarrista's own API on the same files: reads and writes of basic selections with step 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import zarrista
from zarrista.store import FilesystemStore

from engines import CannotDo

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines import Array, Engine


class ZarristaArray:
    value: np.ndarray

    def __init__(self, array: zarrista.Array) -> None:
        self.array = array
        self.shape = tuple(array.metadata["shape"])

    def basic(self, selection: tuple) -> np.ndarray:
        if any(isinstance(part, slice) and part.step not in (None, 1) for part in selection):
            raise CannotDo("steps are 1")
        try:
            found = self.array[selection].to_numpy()
        except TypeError as error:
            raise CannotDo(str(error)) from error
        # An integer keeps its axis here; NumPy drops it.
        kept = [
            n for n, part in zip(found.shape, selection, strict=True) if not isinstance(part, int)
        ]
        return found.reshape(kept)

    def orthogonal(self, selection: tuple) -> np.ndarray:
        raise CannotDo("no lists of indices")

    points = orthogonal

    def mask(self, mask: np.ndarray) -> np.ndarray:
        raise CannotDo("no masks")

    def write(self, selection: tuple, value: np.ndarray) -> None:
        # zarrista accepts nothing else; a user would have to copy too.
        self.array[selection] = np.ascontiguousarray(value)


def opener(engine: Engine, threads: int) -> Callable[[str, str], Array]:
    # zarrista takes its number of threads from RAYON_NUM_THREADS, which the driver sets.
    def open_array(path: str, store: str) -> Array:
        if store != "local":
            raise CannotDo("its memory store is not zarr's")
        try:
            return ZarristaArray(zarrista.Array.open(FilesystemStore(path), "/"))
        except zarrista.exceptions.ArrayCreateError as error:
            raise CannotDo(str(error)) from error

    return open_array
