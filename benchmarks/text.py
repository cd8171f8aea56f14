"""Text and bytes of variable length against zarr-python's own pipelines, in one process.

Usage: python benchmarks/text.py [--strings 500000] [--rounds 7]

Each pipeline in turn writes and reads each array. The result is the minimum of the rounds; what was read is compared.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
import zarr.core.codec_pipeline
from zarr.storage import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = "zarrs.ZarrsCodecPipeline"
OWN = [
    f"zarr.core.codec_pipeline.{name}"
    for name in ("BatchedCodecPipeline", "FusedCodecPipeline")
    if hasattr(zarr.core.codec_pipeline, name)
]
TARGET = 0.4


def samples(count: int) -> dict[str, np.ndarray[Any, Any]]:
    """The kinds of text: as StringDType, as objects, and bytes."""
    rng = np.random.default_rng(5)
    cities = np.array(["Ulm", "Oslo", "Lagos", "Buenos Aires", "Thiruvananthapuram", ""])
    short = rng.choice(cities, count)
    mixed = rng.choice(
        np.array(["Zürich", "東京", "São Paulo", "Köln am Rhein", "Reykjavík"]), count
    )
    long = short.astype("<U64")
    long[:] = [f"{one} {number:040d}" for number, one in enumerate(short)]
    string = np.dtypes.StringDType()
    return {
        "StringDType, short": short.astype(string),
        "StringDType, not ASCII": mixed.astype(string),
        "StringDType, 40 and more": long.astype(string),
        "objects, short": short.astype(object),
        "bytes": np.array([one.encode() for one in short], dtype=object),
    }


def layouts(values: np.ndarray[Any, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The layouts: one chunk, a few, many, and subchunks of a shard."""
    count = len(values)
    dtype = "variable_length_bytes" if kind == "bytes" else "string"
    return {
        "1 chunk": {"chunks": (count,), "dtype": dtype},
        "10 chunks": {"chunks": (count // 10,), "dtype": dtype},
        "500 chunks": {"chunks": (count // 500,), "dtype": dtype},
        "a shard of 50": {"chunks": (count // 50,), "shards": (count,), "dtype": dtype},
    }


def fastest(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The minimum time of each call, in milliseconds; the calls alternate."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strings", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rows = []
    for kind, values in samples(arguments.strings).items():
        for layout, options in layouts(values, kind).items():
            arrays = {}
            for path in (OURS, *OWN):
                with zarr.config.set({"codec_pipeline.path": path, "codec_pipeline.strict": True}):
                    array = zarr.create_array(MemoryStore(), shape=values.shape, **options)
                    array[:] = values
                    assert (array[:] == values).all()
                arrays[path] = array

            def write(array: zarr.Array[Any], path: str, values: Any = values) -> None:
                with zarr.config.set({"codec_pipeline.path": path}):
                    array[:] = values

            def read(array: zarr.Array[Any], path: str) -> None:
                with zarr.config.set({"codec_pipeline.path": path}):
                    array[:]

            for direction, call in (("write", write), ("read", read)):
                calls = {
                    path: lambda call=call, array=array, path=path: call(array, path)
                    for path, array in arrays.items()
                }
                times = fastest(calls, arguments.rounds)
                best = min(times[path] for path in OWN)
                rows.append((times[OURS] / best, times[OURS], best, direction, f"{kind}, {layout}"))
    print(f"{'ours/zarr':>9}  {'ours ms':>8}  {'zarr ms':>8}  target {TARGET}")
    for ratio, ours, theirs, direction, what in sorted(rows, reverse=True):
        missed = "" if ratio <= TARGET else "  MISSED"
        print(f"{ratio:9.2f}  {ours:8.1f}  {theirs:8.1f}  {direction:5} {what}{missed}")


if __name__ == "__main__":
    main()
