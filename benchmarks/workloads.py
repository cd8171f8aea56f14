"""The workloads: small named functions over the `Array` of engines/. No engine is named here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines import Array

    Run = Callable[[Array], Any]


@dataclass(frozen=True)
class Workload:
    """`kind`: read, write (each round starts without chunks), update (the chunks stay), open or
    peak (both in a fresh process each round). `store`: local or memory."""

    name: str
    family: str
    dataset: str
    run: Run
    kind: str = "read"
    store: str = "local"

    @property
    def fresh_process(self) -> bool:
        return self.kind in ("open", "peak")

    @property
    def writes(self) -> bool:
        return self.kind in ("write", "update")


# -- Selections, generated once per shape ---------------------------------------------------------


@cache
def boxes(shape: tuple[int, ...], count: int, side: int, within: int = 1) -> list[tuple]:
    """`count` random cubes of `side`; with `within`, each lies within one chunk of that side."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(count):
        corner = [
            int(rng.integers(0, n // within)) * within + int(rng.integers(0, within - side + 1))
            if within > 1
            else int(rng.integers(0, n - side + 1))
            for n in shape
        ]
        found.append(tuple(slice(start, start + side) for start in corner))
    return found


@cache
def rows(shape: tuple[int, ...], ordered: bool) -> tuple:
    """64 distinct rows of the first axis, 80 wide: they touch nine columns of chunks of 32³, or one of 128³."""
    index = np.random.default_rng(8).choice(shape[0], 64, replace=False)
    return (np.sort(index) if ordered else index, slice(40, 120), slice(40, 120))


@cache
def coordinates(shape: tuple[int, ...]) -> tuple:
    rng = np.random.default_rng(9)
    return tuple(rng.integers(0, n, 2000) for n in shape)


@cache
def one_percent(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(10).random(shape, dtype="f4") < 0.01


@cache
def sixteen_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(16)


# -- Reads ----------------------------------------------------------------------------------------


def whole(array: Array) -> Any:
    return array.basic((slice(None),) * len(array.shape))


def slab(array: Array) -> Any:
    return array.basic((slice(60, 70), slice(None), slice(None)))


def plane(array: Array) -> Any:
    return array.basic((77, slice(None), slice(None)))


def last_plane(array: Array) -> Any:
    return array.basic((slice(None), slice(None), 77))


def step(array: Array) -> Any:
    return array.basic((slice(None, None, 4),) * 3)


def crops(array: Array) -> Any:
    return [array.basic(box) for box in boxes(array.shape, 50, 24)]


def single_crops(array: Array) -> Any:
    return [array.basic(box) for box in boxes(array.shape, 100, 16, within=32)]


def tiny_read(array: Array) -> Any:
    return array.basic((5, 6, slice(7, 11)))


def threads(array: Array) -> Any:
    found = boxes(array.shape, 160, 16, within=32)
    return list(sixteen_threads().map(array.basic, found))


def rows_sorted(array: Array) -> Any:
    return array.orthogonal(rows(array.shape, ordered=True))


def rows_unsorted(array: Array) -> Any:
    return array.orthogonal(rows(array.shape, ordered=False))


def points(array: Array) -> Any:
    return array.points(coordinates(array.shape))


def mask(array: Array) -> Any:
    return array.mask(one_percent(array.shape))


# -- Writes: `array.value` is what the array must contain -------------------------------------------


def write_whole(array: Array) -> None:
    array.write((slice(None),) * len(array.shape), array.value)


def write_part(array: Array) -> None:
    """A box whose faces cut through chunks of 64³."""
    box = (slice(10, 118), slice(20, 236), slice(20, 236))
    array.write(box, array.value[box])


def write_subchunks(array: Array) -> None:
    """Eight subchunks of 32³, one call each."""
    for box in _subchunks(array.shape):
        array.write(box, array.value[box])


@cache
def _subchunks(shape: tuple[int, ...]) -> list[tuple]:
    rng = np.random.default_rng(11)
    corners = [[int(rng.integers(0, n // 32)) * 32 for n in shape] for _ in range(8)]
    return [tuple(slice(start, start + 32) for start in corner) for corner in corners]


# -- The list -------------------------------------------------------------------------------------


def _whole_reads() -> list[Workload]:
    found = []
    for codec in ("raw", "zstd", "blosc_lz4", "blosc_zstd", "gzip"):
        family = "whole raw" if codec == "raw" else "whole compressed"
        for side in (32, 64, 128):
            name = f"whole-{codec.replace('_', '-')}-{side}"
            found.append(Workload(name, family, f"{codec}_{side}", whole))
    found += [
        Workload("whole-float-raw-64", "whole raw", "float_raw_64", whole),
        Workload("whole-float-zstd-64", "whole compressed", "float_zstd_64", whole),
        Workload("whole-shards-32-128", "whole shards", "shards_32_128", whole),
        Workload("whole-shards-32-256", "whole shards", "shards_32_256", whole),
        Workload("whole-raw-shards-32-128", "whole shards", "raw_shards_32_128", whole),
        Workload("subchunks-raw", "subchunks", "fine_raw", whole),
        Workload("subchunks-zstd", "subchunks", "fine_zstd", whole),
        Workload("tiny-files-raw", "tiny files", "tiny_raw", whole),
        Workload("tiny-files-zstd", "tiny files", "tiny_zstd", whole),
    ]
    return found


def _part_reads() -> list[Workload]:
    three = (("raw", "raw_32"), ("zstd", "zstd_32"), ("shards", "shards_32_128"))
    large = (("raw-128", "raw_128"), ("zstd-128", "zstd_128"))
    raw_shards = (("raw-shards", "raw_shards_32_128"),)
    part, lists = "part", "lists and points"
    return [
        *(Workload(f"slab-{n}", part, d, slab) for n, d in three),
        *(Workload(f"plane-{n}", part, d, plane) for n, d in three),
        Workload("last-plane-raw", part, "raw_32", last_plane),
        *(Workload(f"crops-{n}", part, d, crops) for n, d in three + large + raw_shards),
        Workload("crops-blosc-128", part, "blosc_lz4_128", crops),
        *(Workload(f"single-crops-{n}", part, d, single_crops) for n, d in three),
        *(Workload(f"step-{n}", part, d, step) for n, d in three),
        *(Workload(f"tiny-read-{n}", "tiny read", d, tiny_read) for n, d in three),
        *(Workload(f"threads-{n}", "threads", d, threads) for n, d in three),
        *(Workload(f"rows-sorted-{n}", lists, d, rows_sorted) for n, d in three + large[1:]),
        *(Workload(f"rows-unsorted-{n}", lists, d, rows_unsorted) for n, d in three + large[1:]),
        *(Workload(f"points-{n}", lists, d, points) for n, d in three),
        Workload("mask-zstd", lists, "masked_zstd", mask),
    ]


def _data_types() -> list[Workload]:
    names = ("dates", "strings", "records", "big_endian", "big_endian_raw")
    return [Workload(f"type-{n.replace('_', '-')}", "data types", n, whole) for n in names]


def _in_memory() -> list[Workload]:
    three = (("raw", "raw_32"), ("zstd", "zstd_32"), ("shards", "shards_32_128"))
    return [
        *(Workload(f"memory-whole-{n}", "memory", d, whole, store="memory") for n, d in three),
        *(Workload(f"memory-crops-{n}", "memory", d, crops, store="memory") for n, d in three),
    ]


def _writes() -> list[Workload]:
    halves = ("raw", "zstd", "blosc", "shards")
    tiny = ("raw", "zstd")
    return [
        *(Workload(f"write-{n}", "writes", f"half_{n}", write_whole, "write") for n in halves),
        *(Workload(f"write-tiny-{n}", "writes", f"tiny_{n}", write_whole, "write") for n in tiny),
        Workload("replace-raw", "writes", "half_raw", write_whole, "update"),
        Workload("replace-tiny-raw", "writes", "tiny_raw", write_whole, "update"),
        Workload("write-part-raw", "writes", "half_raw", write_part, "update"),
        Workload("write-part-zstd", "writes", "half_zstd", write_part, "update"),
        Workload("write-subchunks", "writes", "half_shards", write_subchunks, "update"),
    ]


def _fresh() -> list[Workload]:
    peaks = (("raw-128", "raw_128"), ("zstd-128", "zstd_128"), ("zstd-32", "zstd_32"))
    return [
        Workload("import-open", "import", "raw_32", tiny_read, "open"),
        *(Workload(f"peak-{n}", "peak memory", d, whole, "peak") for n, d in peaks),
        Workload("peak-shards", "peak memory", "shards_32_128", whole, "peak"),
    ]


_ALL = [*_whole_reads(), *_part_reads(), *_data_types(), *_in_memory(), *_writes(), *_fresh()]
WORKLOADS = {workload.name: workload for workload in _ALL}
