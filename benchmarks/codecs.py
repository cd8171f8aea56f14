"""Each bytes-to-bytes codec against numcodecs, on the same data in one process and on one thread.

Usage: python benchmarks/codecs.py [--only lz4] [--seconds 1.0]

numcodecs is called directly, chunk by chunk. This pipeline reads and writes a zarr array in memory, of eight chunks where a
codec is fast. The time of the same call without the codec is subtracted: for encoding, the write of as many bytes, which are
gathered and then copied by the store; for decoding, the read of one element of each chunk, since both decode into an existing
array. The result is the minimum of interleaved rounds, in processor time of all threads, which load on the machine changes least.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import zarr
from zarr.core.buffer import cpu
from zarr.storage import MemoryStore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.codec_table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.codec_table import Entry

# Number of chunks, and bytes of each: enough that the hand-over to another thread does not count. Slow codecs get less.
LARGE, SMALL = (8, 4 << 20), (1, 1 << 20)
SLOW = ("bz2", "lzma", "gzip", "zlib", "cname=zlib", "cname=lz4hc", "clevel=9", "level=9")
SETTINGS = {
    "codec_pipeline.path": "zarrs.ZarrsCodecPipeline",
    "codec_pipeline.strict": True,
    "threading.max_workers": 1,
}
# How many times as fast as numcodecs a codec must be at least, where the target is above 1.
TARGETS = {("gzip", "decode"): 1.8, ("zlib", "decode"): 1.8}


def data_of(chunks: int, length: int) -> np.ndarray[Any, Any]:
    """Slow, noisy random walks of 32-bit numbers, similar to measured data."""
    rng = np.random.default_rng(7)
    return np.cumsum(rng.integers(-20, 21, (chunks, length // 4)), axis=1).astype("int32")


def array_of(codec: Any, values: np.ndarray[Any, Any]) -> tuple[zarr.Array[Any], MemoryStore]:
    store = MemoryStore()
    array = zarr.create_array(
        store,
        shape=values.shape,
        chunks=(1, values.shape[1]),
        dtype=values.dtype,
        zarr_format=2,
        compressors=codec,
    )
    return array, store


def fastest(calls: list[Callable[[], Any]], seconds: float) -> list[float]:
    """The minimum time of each call, in seconds. The calls alternate for `seconds`, for at least three rounds."""
    best = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        for at, call in enumerate(calls):
            start = time.process_time()
            call()
            best[at] = min(best[at], time.process_time() - start)
        rounds += 1
    return best


def measure(entry: Entry, seconds: float) -> list[tuple[float, str, str, float, float]]:
    """For encoding and decoding: the speed relative to numcodecs', name, direction, and both speeds in MB/s."""
    values = data_of(*(SMALL if any(word in str(entry) for word in SLOW) else LARGE))
    codec = entry.factory()
    array, store = array_of(codec, values)
    array[...] = values
    stored = [store._store_dict[f"{row}.0"].as_numpy_array() for row in range(len(values))]
    out = np.empty_like(values)
    ours_out = cpu.NDBuffer.from_numpy_array(np.empty_like(values))
    plain = array_of(None, values)[0]
    few = array_of(None, values[:, :1])[0]
    few[...] = values[:, :1]
    few_out = cpu.NDBuffer.from_numpy_array(np.empty_like(values[:, :1]))

    def write(target: zarr.Array[Any], value: np.ndarray[Any, Any]) -> None:
        target[...] = value

    def encode() -> None:
        for row in values:
            codec.encode(row)

    def decode() -> None:
        for one, row in zip(stored, out, strict=True):
            codec.decode(one, row)

    found = []
    calls: dict[str, list[Callable[[], Any]]] = {
        "encode": [
            lambda: write(array, values),
            lambda: write(plain, values),
            encode,
        ],
        "decode": [
            lambda: array.get_basic_selection(..., out=ours_out),
            lambda: few.get_basic_selection(..., out=few_out),
            decode,
        ],
    }
    for direction, each in calls.items():
        whole, floor, theirs = fastest(each, seconds)
        ours = max(whole - floor, 1e-6)
        speeds = [values.nbytes / took / 1e6 for took in (ours, theirs)]
        found.append((theirs / ours, str(entry), direction, *speeds))
    np.testing.assert_array_equal(ours_out.as_numpy_array(), values)
    np.testing.assert_array_equal(out, values)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the name of a codec")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each codec and direction")
    arguments = parser.parse_args()
    numcodecs.blosc.use_threads = False
    zarr.config.set(SETTINGS)
    rows = []
    for entry in TABLE:
        # A shuffle of single bytes is a copy.
        if entry.configuration.get("elementsize", 2) < 2:
            continue
        if entry.zarr_format == 2 and arguments.only in str(entry):
            rows += measure(entry, arguments.seconds)
    print(f"{'ours/numcodecs':>14}  {'ours MB/s':>10}  {'numcodecs':>10}  target  codec")
    for ratio, name, direction, ours, theirs in sorted(rows):
        codec = name.removeprefix("v2-").split("-")[0]
        target = TARGETS.get((codec, direction), 1.0)
        verdict = "" if ratio >= target * 0.97 else "  MISSED"
        shown = f"{ratio:14.2f}  {ours:10.0f}  {theirs:10.0f}  {target:6.1f}"
        print(f"{shown}  {direction} {name.removeprefix('v2-')}{verdict}")


if __name__ == "__main__":
    main()
