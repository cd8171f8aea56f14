"""tensorstore's own API on the same files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorstore as ts

from engines import CannotDo

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from engines import Array, Engine


class TensorStoreArray:
    value: np.ndarray

    def __init__(self, array: ts.TensorStore) -> None:
        self.array = array
        self.shape = array.shape

    def basic(self, selection: tuple) -> np.ndarray:
        return self.array[selection].read().result()

    def orthogonal(self, selection: tuple) -> np.ndarray:
        return self.array.oindex[selection].read().result()

    def points(self, selection: tuple) -> np.ndarray:
        return self.array.vindex[selection].read().result()

    def mask(self, mask: np.ndarray) -> np.ndarray:
        return self.array[mask].read().result()

    def write(self, selection: tuple, value: np.ndarray) -> None:
        self.array[selection].write(value).result()


def opener(engine: Engine, threads: int) -> Callable[[str, str], Array]:
    context = ts.Context(
        {
            "data_copy_concurrency": {"limit": threads},
            "file_io_concurrency": {"limit": threads},
            # The other engines do not wait for the disk either.
            "file_io_sync": False,
            # No cache of decoded chunks, as for every other engine.
            "cache_pool": {"total_bytes_limit": 0},
        }
    )

    def open_array(path: str, store: str) -> Array:
        if store != "local":
            raise CannotDo("its memory store is not zarr's")
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}
        try:
            return TensorStoreArray(ts.open(spec, context=context).result())
        except ValueError as error:
            if "data_type" in str(error) or '"field"' in str(error):
                raise CannotDo("does not know the data type") from error
            raise

    return open_array
