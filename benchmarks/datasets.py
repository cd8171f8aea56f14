"""The arrays that the workloads read, and how zarr-python's own pipeline writes them. No timing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SEED = 20_240_517

STRUCTURE = np.dtype([("id", "<i4"), ("x", "<f8"), ("flag", "<u2"), ("kind", "<u2")])


@dataclass(frozen=True)
class Base:
    """One NumPy array; `shape` is for a full run, `small` for a smoke run."""

    name: str
    dtype: str | np.dtype
    shape: tuple[int, ...]
    small: tuple[int, ...]

    def sized(self, small: bool) -> tuple[int, ...]:
        return self.small if small else self.shape


@dataclass(frozen=True)
class Dataset:
    """One Zarr array on disk: a base array in one layout."""

    name: str
    base: Base
    chunks: tuple[int, ...]
    codec: str = "zstd"
    shards: tuple[int, ...] | None = None
    endian: str = "little"


VOLUME = Base("volume", "<u2", (512, 512, 512), (256, 256, 256))
FIELD = Base("field", "<f4", (256, 512, 512), (128, 256, 256))
HALF = Base("half", "<u2", (256, 512, 512), (128, 256, 256))
FINE = Base("fine", "<u2", (256, 256, 256), (64, 256, 256))
TINY = Base("tiny", "<u2", (128, 128, 256), (32, 128, 256))
MASKED = Base("masked", "<u2", (128, 256, 256), (64, 128, 128))
DATES = Base("dates", "<M8[s]", (8_388_608,), (1_048_576,))
STRINGS = Base("strings", "<U8", (2_097_152,), (262_144,))
RECORDS = Base("records", STRUCTURE, (4_194_304,), (524_288,))


def cube(side: int) -> tuple[int, int, int]:
    return (side, side, side)


def _table() -> list[Dataset]:
    sets = [
        Dataset(f"{codec}_{side}", VOLUME, cube(side), codec)
        for codec in ("raw", "zstd", "blosc_lz4", "blosc_zstd", "gzip")
        for side in (32, 64, 128)
    ]
    sets += [Dataset(f"float_{codec}_64", FIELD, cube(64), codec) for codec in ("raw", "zstd")]
    sets += [
        Dataset("shards_32_128", VOLUME, cube(32), "zstd", cube(128)),
        Dataset("shards_32_256", VOLUME, cube(32), "zstd", cube(256)),
        Dataset("raw_shards_32_128", VOLUME, cube(32), "raw", cube(128)),
    ]
    sets += [Dataset(f"fine_{c}", FINE, (8, 8, 16), c, FINE.shape) for c in ("raw", "zstd")]
    sets += [Dataset(f"tiny_{c}", TINY, (8, 8, 16), c) for c in ("raw", "zstd")]
    sets += [
        Dataset(f"half_{name}", HALF, cube(64), codec)
        for name, codec in (("raw", "raw"), ("zstd", "zstd"), ("blosc", "blosc_lz4"))
    ]
    sets += [
        Dataset("half_shards", HALF, cube(32), "zstd", cube(128)),
        Dataset("masked_zstd", MASKED, cube(32)),
        Dataset("dates", DATES, (262_144,)),
        Dataset("strings", STRINGS, (65_536,)),
        Dataset("records", RECORDS, (65_536,)),
        Dataset("big_endian", FIELD, cube(64), "zstd", endian="big"),
        Dataset("big_endian_raw", FIELD, cube(64), "raw", endian="big"),
    ]
    return sets


DATASETS = {dataset.name: dataset for dataset in _table()}


def array_path(root: Path, dataset: str) -> Path:
    return root / "arrays" / dataset


def layout(dataset: Dataset, small: bool) -> dict[str, object]:
    """What a reader other than zarr-python must know: shapes in elements, `item` in bytes."""
    shape = dataset.base.sized(small)
    shards = dataset.shards
    if shards is not None:
        # A shard of a smoke run may not be larger than its array.
        shards = tuple(min(pair) for pair in zip(shards, shape, strict=True))
    return {
        "shape": shape,
        "chunks": dataset.chunks,
        "shards": shards,
        "codec": dataset.codec,
        "item": np.dtype(dataset.base.dtype).itemsize,
    }


def _smooth(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A few separable waves with an amplitude of about 1, float32, similar to a scan or a forecast."""
    total = np.zeros(shape, "f4")
    for _ in range(3):
        wave = np.float32(1 / 3)
        for axis, length in enumerate(shape):
            phase = rng.uniform(0, 6.28)
            line = np.sin(np.linspace(0, rng.uniform(4, 12), length, dtype="f4") + phase)
            wave = wave * line.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        total += wave
    return total


def generate(base: Base, small: bool) -> np.ndarray:
    """The base array: the same for every run; compression halves it approximately."""
    rng = np.random.default_rng(SEED)
    shape = base.sized(small)
    if base is DATES:
        return (rng.integers(0, 90, shape).cumsum() + 1_500_000_000).astype(base.dtype)
    if base is STRINGS:
        words = np.array([f"st-{n:05d}" for n in range(20_000)], dtype=base.dtype)
        return words[rng.integers(0, len(words), shape)]
    if base is RECORDS:
        records = np.empty(shape, base.dtype)
        records["id"] = np.arange(shape[0])
        records["x"] = rng.integers(0, 5000, shape) / 8
        records["flag"], records["kind"] = rng.integers(0, 2, shape), rng.integers(0, 9, shape)
        return records
    field = _smooth(shape, rng)
    if base is FIELD:
        field += rng.standard_normal(shape, dtype="f4") / 200
        # Weather and imaging data are stored with about 12 significant bits.
        return np.round(field * 2048) / 2048
    # A scan: bright, noisy structures on a background clipped by the camera's software.
    noise = rng.standard_normal(shape, dtype="f4")
    return np.where(field > 0, field * 4000 + 200 + noise * 8, 100).astype(base.dtype)


@cache
def truth(root: Path, base: Base, small: bool) -> np.ndarray:
    """The base array as a NumPy array, generated at first use, mapped read-only."""
    path = root / "truth" / f"{base.name}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, generate(base, small))
        partial.rename(path)
    return np.load(path, mmap_mode="r")


def create(root: Path, dataset: Dataset, small: bool) -> Path:
    """Write `dataset` with zarr-python's own pipeline, unless it exists."""
    path = array_path(root, dataset.name)
    made = path / "made.json"
    # The whole description, so that data kept from another version of this file are regenerated.
    wanted = json.loads(json.dumps(layout(dataset, small) | {"endian": dataset.endian}))
    if made.exists() and json.loads(made.read_text()) == wanted:
        return path
    import zarr
    from zarr.codecs import BloscCodec, BytesCodec, GzipCodec, ZstdCodec

    compressors = {
        "raw": None,
        "zstd": ZstdCodec(level=3),
        "gzip": GzipCodec(level=5),
        "blosc_lz4": BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),
        "blosc_zstd": BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
    }
    value = truth(root, dataset.base, small)
    serializer = BytesCodec(endian="big") if dataset.endian == "big" else "auto"
    array = zarr.create_array(
        path,
        shape=value.shape,
        dtype=value.dtype,
        chunks=dataset.chunks,
        shards=wanted["shards"] and tuple(wanted["shards"]),
        compressors=compressors[dataset.codec],
        serializer=serializer,
        overwrite=True,
    )
    array[...] = np.asarray(value)
    made.write_text(json.dumps(wanted))
    return path
