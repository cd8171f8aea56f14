"""Reads and writes over each kind of store, by this pipeline and by zarr-python's own: a table of ratios, the worst first.

Run `python benchmarks/stores.py [KIND ...]` in an environment with this package, obstore, fsspec and icechunk. With `--peer
PYTHON`, the interpreter of an environment with zarrs-python, zarrs-python takes part too, in its own process. Each engine runs in
every round; the table shows the minimum of the rounds. A result that differs from what was written ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.storage import LocalStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENGINES = {
    "ours": "zarrs.ZarrsCodecPipeline",
    "batched": "zarr.core.codec_pipeline.BatchedCodecPipeline",
    "fused": "zarr.core.codec_pipeline.FusedCodecPipeline",
}
SIDE = 4096
DATA = np.random.default_rng(0).integers(0, 50, (SIDE, SIDE), dtype="int16")
LAYOUTS: dict[str, dict[str, Any]] = {
    "4,096 chunks": {"chunks": (64, 64)},
    "16 shards": {"chunks": (64, 64), "shards": (1024, 1024)},
}
numbers = itertools.count()


class Latency(MemoryStore):
    """A store that takes 20 ms per request."""

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.02)
        return await super().get(*args, **kwargs)

    async def set(self, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0.02)
        await super().set(*args, **kwargs)

    # The fused pipeline would call these and bypass the methods above.

    def get_sync(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(0.02)
        return super().get_sync(*args, **kwargs)

    def set_sync(self, *args: Any, **kwargs: Any) -> None:
        time.sleep(0.02)
        super().set_sync(*args, **kwargs)


def _obstore(inner: str, *args: Any) -> Any:
    import obstore.store
    from zarr.storage import ObjectStore

    return ObjectStore(getattr(obstore.store, inner)(*args))


def _fsspec(url: str) -> Any:
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(url)


def _icechunk(root: Path) -> Any:
    import icechunk

    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(root)))
    return repository.writable_session("main").store


def _wrapper(kind: str, root: Path) -> Any:
    return getattr(zarr.storage, kind)(LocalStore(root))


def _zip(root: Path) -> Any:
    return zarr.storage.ZipStore(root.with_suffix(".zip"), mode="w")


STORES: dict[str, Callable[[Path], Any]] = {
    "files": LocalStore,
    "memory": lambda _: MemoryStore(),
    "managed memory": lambda _: zarr.storage.ManagedMemoryStore(path=f"a/{next(numbers)}"),
    "zip": _zip,
    "obstore, memory": lambda _: _obstore("MemoryStore"),
    "obstore, files": lambda root: _obstore("LocalStore", str(root)),
    "fsspec, memory": lambda _: _fsspec(f"memory://bench-{next(numbers)}"),
    "fsspec, files": lambda root: _fsspec(f"file://{root}"),
    "icechunk": _icechunk,
    "wrapper of files": lambda root: _wrapper("WrapperStore", root),
    "20 ms": lambda _: Latency(),
}


def work(kind: str, layout: str, store: Any) -> Iterator[tuple[str, float]]:
    """The seconds that each operation takes on `store`."""
    far = kind == "20 ms"
    data = DATA[:512, :512] if far else DATA
    options = dict(LAYOUTS[layout])
    if far and "shards" in options:
        options["shards"] = (256, 256)
    start = time.perf_counter()
    array = zarr.create_array(
        store,
        shape=data.shape,
        dtype=data.dtype,
        compressors=zarr.codecs.ZstdCodec(level=1),
        **options,
    )
    array[:] = data
    yield "write", time.perf_counter() - start
    if kind == "zip":
        store.close()
        array = zarr.open_array(zarr.storage.ZipStore(store.path, mode="r"), mode="r")
    start = time.perf_counter()
    result = array[:]
    yield "read", time.perf_counter() - start
    if not np.array_equal(result, data):
        raise SystemExit(f"{kind}, {layout}: a read gave other values than were written")
    start = time.perf_counter()
    for at in range(4 if far else 30):
        array[at * 10 : at * 10 + 200, 50:300]
    yield "crops", time.perf_counter() - start


def measure(kind: str, engine: str, layout: str) -> dict[str, float]:
    """One round of one engine."""
    zarr.config.set({"codec_pipeline.path": ENGINES[engine], "codec_pipeline.strict": True})
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "store"
        # Not every store creates its own directory.
        root.mkdir()
        return dict(work(kind, layout, STORES[kind](root)))


class Peer:
    """zarrs-python in its own process, which stays alive."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, "-W", "ignore", __file__, "--serve"], stdin=-1, stdout=-1, stderr=-3, text=True
        )

    def measure(self, kind: str, layout: str) -> dict[str, float] | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([kind, layout]), file=self.process.stdin, flush=True)
        found: dict[str, float] | None = json.loads(self.process.stdout.readline() or "null")
        return found


def serve() -> None:
    """Serve the requests of a `Peer`."""
    for line in sys.stdin:
        kind, layout = json.loads(line)
        try:
            print(json.dumps(measure(kind, "ours", layout)), flush=True)
        except Exception:
            print("null", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=", ".join(STORES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", help="Python of an environment with zarrs-python")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()
    peer = Peer(options.peer) if options.peer else None
    rows = []
    for kind, layout in itertools.product(options.kinds or STORES, LAYOUTS):
        print(f"{kind}, {layout} …", file=sys.stderr, flush=True)
        best: dict[tuple[str, str], float] = {}
        for _ in range(options.rounds):
            found = {engine: measure(kind, engine, layout) for engine in ENGINES}
            if peer is not None and (theirs := peer.measure(kind, layout)) is not None:
                found["zarrs-python"] = theirs
            for engine, seconds in found.items():
                for what, value in seconds.items():
                    best[engine, what] = min(best.get((engine, what), value), value)
        for what in ("write", "read", "crops"):
            others = {e: v for (e, w), v in best.items() if w == what and e != "ours"}
            engine = min(others, key=others.__getitem__)
            ours = best["ours", what]
            rows.append((ours / others[engine], kind, layout, what, ours, engine, others[engine]))
    print(f"{'ratio':>6}  {'store':18}{'layout':14}{'':7}{'ours, ms':>10}  best of the others, ms")
    for ratio, kind, layout, what, ours, engine, other in sorted(rows, reverse=True):
        print(
            f"{ratio:6.2f}  {kind:18}{layout:14}{what:7}{ours * 1e3:10.1f}  {other * 1e3:.1f} {engine}"
        )
    return None


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
