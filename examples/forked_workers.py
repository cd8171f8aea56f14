"""Read random crops in forked worker processes, as a training loop does.

Run it in an environment that has this package: `python examples/forked_workers.py`. The parent
reads first, so its threads exist when the children are forked; each child creates its own.
"""

from __future__ import annotations

import multiprocessing
import tempfile

import numpy as np
import zarr

CROP = 32


def crop_mean(path: str, seed: int) -> float:
    """Return the mean of one random crop."""
    array = zarr.open_array(path, mode="r")
    starts = np.random.default_rng(seed).integers(0, array.shape[0] - CROP, size=array.ndim)
    return float(array[tuple(slice(start, start + CROP) for start in starts)].mean())


def main() -> None:
    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    with tempfile.TemporaryDirectory() as path:
        volume = np.random.default_rng(0).normal(size=(128, 128, 128)).astype("f4")
        zarr.create_array(path, data=volume, chunks=(16, 16, 16), shards=(64, 64, 64))
        expected = [crop_mean(path, seed) for seed in range(100)]

        # "fork" inherits the configuration; with "spawn", set ZARR_CODEC_PIPELINE__PATH instead.
        with multiprocessing.get_context("fork").Pool(4) as pool:
            means = pool.starmap(crop_mean, [(path, seed) for seed in range(100)])
    assert means == expected
    print(f"{len(means)} crops read by 4 processes, the same as by one")


if __name__ == "__main__":
    main()
