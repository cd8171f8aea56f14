"""The native arrays of one pipeline: a chunk format and the handle of a store, made ready at first use and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zarrs._codecs import data_types

if TYPE_CHECKING:
    from zarrs import _internal
    from zarrs._chunk_format import ChunkFormat
    from zarrs._stores.routes import Handle

    # The array that a read fills, its results, and the call that is under way; one of the last two is None.
    Started = tuple[np.ndarray[Any, Any], Any, _internal.Call | None]

# Assigning to parts of these has no meaning of its own.
_PLAIN = frozenset({np.ndarray, np.memmap})


class Array:
    """One format in one store, as NumPy's arrays are read from it and written to it."""

    __slots__ = ("_native", "format")

    def __init__(self, native: _internal.Array, format: ChunkFormat) -> None:
        self._native = native
        self.format = format

    def read(
        self, batch: list[Any], out: np.ndarray[Any, Any], drop_axes: tuple[int, ...]
    ) -> Started:
        """Starts to read `batch`: the array that is filled, and what :meth:`_internal.Array.read` returns.

        That array is another one than `out` where NumPy has to assign: `out` has another data type, overlaps itself, or is
        of a subclass with assignments of its own.
        """
        from zarrs import _internal

        native, format = self._native, self.format
        if type(out) in _PLAIN:
            try:
                swap = format.swap_to(out.dtype)
                return out, *native.read(batch, out, swap, drop_axes)
            except (data_types.IncompatibleDtype, _internal.OverlappingOutput):
                pass
        target = np.empty(out.shape, dtype=format.dtype)
        return target, *native.read(batch, target, format.swap_to(target.dtype), drop_axes)

    def write(
        self, batch: list[Any], value: np.ndarray[Any, Any], drop_axes: tuple[int, ...]
    ) -> _internal.Call | None:
        """Starts to write `batch`; None if it is done. The data type of `value` is compatible with the format's."""
        swap = self.format.swap_to(value.dtype)
        return self._native.write(batch, value, swap, drop_axes)[1]


class Arrays:
    """The array that was last used, which is nearly always the one that is wanted."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[ChunkFormat, Handle | None, _internal.Options, Array] | None = None

    def get(self, format: ChunkFormat, handle: Handle | None, options: _internal.Options) -> Array:
        """The array of `format` in the store that `handle` reaches; None for stores that Python reaches."""
        last = self._last
        if last is not None and last[0] is format and last[1] is handle and last[2] is options:
            return last[3]
        from zarrs import _internal

        array = Array(_internal.Array(format.format, handle, options), format)
        self._last = (format, handle, options, array)
        return array
