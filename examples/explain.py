"""Show which parts of an array's work run in Rust, which in Python, and why an array falls back to zarr-python's own pipeline.

Run it in an environment that has this package: `python examples/explain.py`.
"""

from __future__ import annotations

import numcodecs
import numpy as np
import zarr

import zarrs


def main() -> None:
    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    store = zarr.storage.MemoryStore()

    # Everything in Rust.
    numbers = zarr.create_array(
        store, name="numbers", shape=(1000, 1000), chunks=(100, 100), dtype="f4"
    )
    print(zarrs.explain(numbers))

    # A codec that Rust does not know: its Python code runs as a step, the rest stays in Rust.
    encoded = zarr.create_array(
        store,
        name="encoded",
        shape=(1000, 1000),
        chunks=(100, 100),
        dtype="f4",
        zarr_format=2,
        filters=[numcodecs.Base64()],
    )
    print(zarrs.explain(encoded))

    # A rare fill value, one that ends with a null character, goes to zarr-python's own pipeline: the same values, only not faster.
    words = zarr.create_array(
        store, name="words", shape=(1000,), chunks=(100,), dtype="string", fill_value="?\0"
    )
    words[:2] = np.array(["zarr", "zarrs"])
    print(zarrs.explain(words))
    print(words[:2])

    # In strict mode, that is an error which names the cause.
    with zarr.config.set({"codec_pipeline.strict": True}):
        try:
            words[:2]
        except zarrs.UnsupportedError as error:
            print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
