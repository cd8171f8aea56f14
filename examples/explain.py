"""Show what runs in Rust, and why the rest does not, for an array that does and one that does not.

Run it in an environment that has this package: `python examples/explain.py`.
"""

from __future__ import annotations

import numpy as np
import zarr

import zarrs


def main() -> None:
    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    group = zarr.open_group({})  # in memory

    numbers = group.create_array("numbers", shape=(1000, 1000), chunks=(100, 100), dtype="f4")
    print(zarrs.explain(numbers))

    # Text of variable length goes to zarr's own pipeline: the same values, only not sooner.
    words = group.create_array("words", shape=(1000, 1000), chunks=(100, 100), dtype="string")
    words[0, :2] = np.array(["zarr", "zarrs"])
    print(zarrs.explain(words))
    print(words[0, :3])

    # In strict mode that is an error, which names the cause.
    with zarr.config.set({"codec_pipeline.strict": True}):
        try:
            words[0, :3]
        except zarrs.UnsupportedError as error:
            print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
