"""NumPy data types as the engine sees them: an element's bytes, which of them swap, when it equals the fill value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zarrs.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    Swap = int | list[tuple[int, int, int]] | None


class Leaf(NamedTuple):
    """A part of an element without parts of its own; `repeats` of them lie side by side."""

    offset: int
    repeats: int
    dtype: np.dtype[Any]

    @property
    def unit(self) -> int:
        """Bytes that change order together; 1 if none do."""
        kind, size = self.dtype.kind, self.dtype.itemsize
        if kind == "c":
            return size // 2
        if kind == "U":
            return 4
        return size if kind in "iufMm" else 1


def leaves(dtype: np.dtype[Any], offset: int = 0) -> Iterator[Leaf]:
    """The leaves of `dtype` in the order of its fields."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        count = int(np.prod(shape, dtype=np.int64))
        if base.fields is None:
            yield Leaf(offset, count, base)
        else:
            for number in range(count):
                yield from leaves(base, offset + number * base.itemsize)
    elif dtype.fields is not None:
        for name in dtype.names or ():
            part, start, *_ = dtype.fields[name]
            yield from leaves(part, offset + start)
    else:
        yield Leaf(offset, 1, dtype)


def check(dtype: np.dtype[Any]) -> None:
    """Refuses data types whose elements are not a fixed number of plain bytes."""
    if dtype.hasobject or dtype.kind == "T":
        raise UnsupportedError(f"data type {dtype}", "its elements have no fixed size")
    if dtype.itemsize == 0:
        raise UnsupportedError(f"data type {dtype}", "its elements have no bytes")
    if any(leaf.dtype.isbuiltin == 2 for leaf in leaves(dtype)):
        raise UnsupportedError(f"data type {dtype}", "NumPy does not know its byte layout")


def stored(dtype: np.dtype[Any], endian: str | None) -> np.dtype[Any]:
    """`dtype` in the byte order that a bytes codec with `endian` gives every part of it."""
    return dtype if endian is None else dtype.newbyteorder("<" if endian == "little" else ">")


class IncompatibleDtype(Exception):
    """The two data types differ in more than byte order: NumPy has to convert."""


def swap_between(stored: np.dtype[Any], memory: np.dtype[Any]) -> Swap:
    """Which bytes change order between two data types of one layout: a unit, fields of units, or None.

    Raises
    ------
    IncompatibleDtype
        If they differ in anything else.
    """
    if stored is memory:
        return None
    if stored.kind in "OT":
        # Elements of variable length, which have no bytes of their own in an array.
        if stored.kind == memory.kind:
            return None
        raise IncompatibleDtype
    if stored.itemsize != memory.itemsize:
        raise IncompatibleDtype
    fields: list[tuple[int, int, int]] = []
    pairs = list(leaves(stored)), list(leaves(memory))
    if len(pairs[0]) != len(pairs[1]):
        raise IncompatibleDtype
    for a, b in zip(*pairs, strict=True):
        alike = a.dtype == b.dtype
        if (a.offset, a.repeats) != (b.offset, b.repeats) or not (
            alike or a.dtype == b.dtype.newbyteorder()
        ):
            raise IncompatibleDtype
        if not alike:
            fields.append((a.offset, a.unit, a.repeats * (a.dtype.itemsize // a.unit)))
    if not fields:
        return None
    if stored.fields is None:
        return fields[0][1]
    return fields


class Field(NamedTuple):
    """`repeats` equal parts of an element, `size` bytes each; `kind` is "bits", "float" or "time"."""

    offset: int
    size: int
    repeats: int
    kind: str
    unit: int


class Equality(NamedTuple):
    """When an element equals the fill value, as the engine reads it (``src/bindings/spec.rs``).

    `kind` is "bits", "bool", "float", "complex" or "fields"; `unit` the bytes of one float.
    """

    kind: str
    unit: int = 1
    fields: tuple[Field, ...] = ()


def equality(dtype: np.dtype[Any]) -> Equality:
    """How zarr compares elements of `dtype` with the fill value (``zarr.core.buffer.NDBuffer.all_equal``)."""
    kind, size = dtype.kind, dtype.itemsize
    if dtype.fields is not None:
        return Equality("fields", fields=tuple(map(_field, leaves(dtype))))
    if kind == "f":
        return Equality("float", size)
    if kind == "c":
        return Equality("complex", size // 2)
    return Equality("bool" if kind == "b" else "bits")


def _field(leaf: Leaf) -> Field:
    kind = {"f": "float", "c": "float", "M": "time", "m": "time"}.get(leaf.dtype.kind, "bits")
    return Field(leaf.offset, leaf.dtype.itemsize, leaf.repeats, kind, leaf.unit)
