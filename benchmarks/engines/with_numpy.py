"""The oracle: the same selections on the NumPy array that was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engines import Array


class NumpyArray:
    value: np.ndarray

    def __init__(self, value: np.ndarray) -> None:
        self.array = value
        self.shape = value.shape

    def basic(self, selection: tuple) -> np.ndarray:
        return self.array[selection]

    def orthogonal(self, selection: tuple) -> np.ndarray:
        axes = [
            np.arange(n)[part] if isinstance(part, slice) else part
            for n, part in zip(self.shape, selection, strict=True)
        ]
        return self.array[np.ix_(*axes)]

    def points(self, selection: tuple) -> np.ndarray:
        return self.array[selection]

    def mask(self, mask: np.ndarray) -> np.ndarray:
        return self.array[mask]

    def write(self, selection: tuple, value: np.ndarray) -> None:
        self.array[selection] = value


def opened(value: np.ndarray) -> Array:
    return NumpyArray(value)
