"""Write a volume through zarrs, read it back in several ways, and compare the results with zarr-python's own pipelines.

Run it with `make demo`. It uses a photograph that scikit-image ships, or any Zarr array that you name:

    ZARRS_DEMO_ARRAY   path or URL of a Zarr array of any format, data type and number of dimensions
    ZARRS_DEMO_MB      size of the volume in megabytes, 300 by default

Everything is written into a temporary directory. The exit status is 0 only if every pipeline read the same values.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
import zarr.core.codec_pipeline
from tqdm import tqdm

import zarrs

if TYPE_CHECKING:
    from collections.abc import Callable

# A program needs only one setting, the path of the pipeline. For a fair comparison, zarr's fused pipeline gets all CPUs too.
PIPELINES: dict[str, dict[str, Any]] = {
    "zarr batched": {"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"},
    "zarr fused": {
        "codec_pipeline.path": "zarr.core.codec_pipeline.FusedCodecPipeline",
        "codec_pipeline.max_workers": None,
    },
    "zarrs": {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"},
}
if not hasattr(zarr.core.codec_pipeline, "FusedCodecPipeline"):  # it came with zarr 3.3
    del PIPELINES["zarr fused"]

READ_ROUNDS = 5
WRITE_ROUNDS = 3
MB = 1_000_000


def main() -> None:
    rng = np.random.default_rng(seed=0)
    size = int(float(os.environ.get("ZARRS_DEMO_MB", "300")) * MB)
    volume = stack(load_picture(size), size, rng)

    with tempfile.TemporaryDirectory(prefix="zarrs-demo-") as directory:
        path = Path(directory) / "volume.zarr"
        write_with_progress(path, volume)
        times = time_writes(Path(directory) / "rounds", volume)
        times |= time_reads(path, volume, rng)
    print_table(times)


# --- The volume ---------------------------------------------------------------------------------------------------------------------


def load_picture(size: int) -> np.ndarray:
    """Return at most `size` bytes of the array to stack: the one that the environment names, or the photograph."""
    source = os.environ.get("ZARRS_DEMO_ARRAY")
    if source:
        array = zarr.open_array(source, mode="r")
        part = tuple(slice(length) for length in divide(array.shape, array.dtype.itemsize, size))
        picture = np.atleast_1d(np.asarray(array[part]))
    else:
        from skimage import data

        source, picture = "scikit-image's astronaut", data.astronaut()
    if picture.size == 0:
        sys.exit(f"{source} is empty, with shape {picture.shape}: nothing to stack")
    if picture.dtype.kind == "O":
        sys.exit(
            f"{source} holds Python objects: take an array of numbers, dates, text or structures"
        )
    print(f"Picture: {source}, {picture.shape} {picture.dtype}")
    return picture if picture.dtype.isnative else picture.astype(picture.dtype.newbyteorder("="))


def stack(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a volume of about `size` bytes whose slices, along axis 0, are the picture shifted at random.

    Equal slices would compress to next to nothing, unlike those of a real volume.
    """
    # A tiny picture is repeated first; otherwise the volume would have millions of slices.
    copies = min(MB, size) // picture.nbytes
    if copies > 1:
        picture = np.concatenate([picture] * copies)
    volume = np.empty((max(1, round(size / picture.nbytes)), *picture.shape), picture.dtype)
    axes = tuple(range(picture.ndim))
    for index in range(len(volume)):
        volume[index] = np.roll(picture, tuple(rng.integers(0, picture.shape)), axes)
    return volume


def divide(shape: tuple[int, ...], itemsize: int, limit: int) -> tuple[int, ...]:
    """Return the shape with its longest axes halved until it holds at most `limit` bytes."""
    divided = list(shape)
    while np.prod(divided) * itemsize > max(limit, itemsize):
        axis = int(np.argmax(divided))
        divided[axis] = -(-divided[axis] // 2)
    return tuple(divided)


def shard_shape(
    subchunk: tuple[int, ...], shape: tuple[int, ...], itemsize: int, limit: int
) -> tuple[int, ...]:
    """Return a multiple of the subchunk's shape, of at most `limit` bytes and not much larger than the array."""
    shard = list(subchunk)
    while 2 * np.prod(shard) * itemsize <= limit and any(
        s < length for s, length in zip(shard, shape, strict=True)
    ):
        shard[int(np.argmax(np.divide(shape, shard)))] *= 2
    return tuple(shard)


# --- Writing and reading ------------------------------------------------------------------------------------------------------------


def create(path: Path, volume: np.ndarray) -> zarr.Array:
    """Create the array on disk: format 3, shards of 16 MB or less, with subchunks of 256 kB or less under zstd."""
    itemsize = volume.dtype.itemsize
    subchunk = divide(volume.shape, itemsize, 256_000)
    return zarr.create_array(
        path,
        shape=volume.shape,
        dtype=volume.dtype,
        chunks=subchunk,
        shards=shard_shape(subchunk, volume.shape, itemsize, 16 * MB),
        compressors=zarr.codecs.ZstdCodec(level=3),
        overwrite=True,
    )


def write_with_progress(path: Path, volume: np.ndarray) -> None:
    """Write the volume through zarrs, one row of shards after the other, and print what runs in Rust."""
    with zarr.config.set(PIPELINES["zarrs"]):
        array = create(path, volume)
        print(
            f"Volume:  {volume.shape} {volume.dtype}, shards {array.shards}, subchunks {array.chunks}\n"
        )
        print(zarrs.explain(array), end="\n\n")
        with tqdm(
            total=volume.nbytes, unit="B", unit_scale=True, desc="Writing through zarrs"
        ) as progress:
            for start in range(0, len(volume), array.shards[0]):
                rows = slice(start, start + array.shards[0])
                array[rows] = volume[rows]
                progress.update(volume[rows].nbytes)
    stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    print(f"{volume.nbytes / MB:.0f} MB became {stored / MB:.0f} MB on disk\n")


def time_writes(directory: Path, volume: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Write the whole volume with each pipeline in turn; zarr's own pipeline then reads what each has written."""
    times: dict[str, list[float]] = {name: [] for name in PIPELINES}
    for round_number in tqdm(range(WRITE_ROUNDS), desc="Timing writes", leave=False):
        for name, settings in PIPELINES.items():
            path = directory / name
            with zarr.config.set(settings):
                array = create(path, volume)
                start = time.perf_counter()
                array[...] = volume
                times[name].append(time.perf_counter() - start)
            if round_number == 0:
                with zarr.config.set(PIPELINES["zarr batched"]):
                    check(f"volume written by {name}", zarr.open_array(path, mode="r")[...], volume)
    return {"write, whole": times}


def time_reads(
    path: Path, volume: np.ndarray, rng: np.random.Generator
) -> dict[str, dict[str, list[float]]]:
    """Read crops, rows and the whole volume with each pipeline in turn; the others must agree with zarr's own, which comes first."""
    crops = [random_crop(volume.shape, rng) for _ in range(50)]
    rows = np.sort(rng.choice(len(volume), size=min(10, len(volume)), replace=False))
    reads: dict[str, Callable[[zarr.Array], list[Any]]] = {
        f"read, {len(crops)} random crops": lambda array: [array[crop] for crop in crops],
        f"read, {len(rows)} random rows": lambda array: [array.oindex[rows]],
        "read, whole": lambda array: [array[...]],
    }

    check("rows of the volume", zarr.open_array(path, mode="r").oindex[rows], volume[rows])
    times: dict[str, dict[str, list[float]]] = {}
    for operation, read in reads.items():
        times[operation] = {name: [] for name in PIPELINES}
        for _ in tqdm(range(READ_ROUNDS), desc=f"Timing {operation}", leave=False):
            expected: list[Any] | None = None
            for name, settings in PIPELINES.items():
                with zarr.config.set(settings):
                    array = zarr.open_array(path, mode="r")
                    start = time.perf_counter()
                    results = read(array)
                    times[operation][name].append(time.perf_counter() - start)
                expected = expected or results
                for result, reference in zip(results, expected, strict=True):
                    check(f"{operation} by {name}", result, reference)
    return times


def random_crop(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, ...]:
    """Return a window of 64 elements or fewer along each axis."""
    starts = [int(rng.integers(0, max(1, length - 63))) for length in shape]
    return tuple(slice(start, start + 64) for start in starts)


# --- Results ------------------------------------------------------------------------------------------------------------------------


def check(what: str, result: Any, expected: Any) -> None:
    """Exit with an error unless both arrays are equal, bit for bit (so that NaN equals NaN)."""
    result, expected = np.ascontiguousarray(result), np.ascontiguousarray(expected)
    same = result.dtype == expected.dtype and result.shape == expected.shape
    if (
        same and result.dtype.kind not in "OT"
    ):  # objects and variable-length text hold pointers, not values
        result, expected = result.view(np.uint8), expected.view(np.uint8)
    if not (same and np.array_equal(result, expected)):
        sys.exit(f"MISMATCH: {what} differs from the result of zarr's own pipeline")


def print_table(times: dict[str, dict[str, list[float]]]) -> None:
    """Print the minimum and median of the rounds, and the speed-up over zarr's default pipeline."""
    print("All pipelines read the same values.\n")
    print(f"{'':24}{'pipeline':14}{'minimum':>12}{'median':>12}{'speed-up':>12}")
    for operation, by_pipeline in times.items():
        reference = min(by_pipeline["zarr batched"])
        label = operation
        for name, seconds in by_pipeline.items():
            best, middle = min(seconds), statistics.median(seconds)
            print(
                f"{label:24}{name:14}{best * 1e3:9.1f} ms{middle * 1e3:9.1f} ms{reference / best:10.1f} ×"
            )
            label = ""


if __name__ == "__main__":
    main()
