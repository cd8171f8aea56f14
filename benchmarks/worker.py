"""One engine in one process: reads JSON lines from stdin, answers on stdout, times the runs.

    worker.py ENGINE [--fresh WORKLOAD | --loop WORKLOAD]

Runs in the engine's own environment; nothing here depends on which other engines exist.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402 (the clock of the import workload starts before every import)
import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines import Array, Engine
    from workloads import Workload

THREADS = int(os.environ.get("BENCH_THREADS", "2"))
ROOT = Path(os.environ["BENCH_DATA"])
SMALL = os.environ.get("BENCH_SMALL") == "1"


class Session:
    """The open array of the current workload."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.open = engine.opener(THREADS)
        self.array: Array | None = None
        self.workload: Workload | None = None

    def prepare(self, name: str, path: str) -> dict[str, Any]:
        from datasets import DATASETS, truth
        from workloads import WORKLOADS

        self.array = None
        self.workload = WORKLOADS[name]
        self.array = self.open(path, self.workload.store)
        if self.workload.writes:
            # In memory, because a mapped file would add its page faults to the first write.
            self.array.value = truth(ROOT, DATASETS[self.workload.dataset].base, SMALL).copy()
        return {}

    def run(self, repeats: int) -> dict[str, Any]:
        from checksum import checksum

        assert self.workload is not None, "prepare comes first"
        seconds = []
        found = None
        gc.collect()
        for _ in range(repeats):
            found = None
            start = time.perf_counter()
            found = self.workload.run(self.array)
            seconds.append(time.perf_counter() - start)
        read = not self.workload.writes and self.engine.name != "floor"
        return {"seconds": seconds, "checksum": checksum(found) if read else None}

    def close(self) -> dict[str, Any]:
        self.array = None
        return {}


class Oracle:
    """The same protocol for the process that generates the data and decides what is right."""

    def create(self, name: str) -> dict[str, Any]:
        from datasets import DATASETS, create

        return {"path": str(create(ROOT, DATASETS[name], SMALL))}

    def expect(self, name: str) -> dict[str, Any]:
        """Checksum of what a read returns, or of what the array contains after a write."""
        from checksum import checksum
        from datasets import DATASETS, truth
        from engines.with_numpy import opened
        from workloads import WORKLOADS, whole

        workload = WORKLOADS[name]
        array = opened(truth(ROOT, DATASETS[workload.dataset].base, SMALL))
        run = whole if workload.writes else workload.run
        return {"checksum": checksum(run(array))}

    def read_back(self, path: str) -> dict[str, Any]:
        import zarr
        from checksum import checksum

        return {"checksum": checksum(zarr.open_array(path, mode="r")[...])}


def answer(handler: Any, request: dict[str, Any]) -> dict[str, Any]:
    from engines import CannotDo

    arguments = {key: value for key, value in request.items() if key != "do"}
    try:
        return getattr(handler, request["do"])(**arguments)
    except CannotDo as reason:
        return {"skipped": str(reason)}
    except Exception as error:  # Any exception of an engine is a result to report.
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:160]}


def serve(make: Callable[[], Any]) -> None:
    # Engines may print, so the protocol reserves the real stdout.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    handler = make()
    for line in sys.stdin:
        out.write(json.dumps(answer(handler, json.loads(line))) + "\n")


def memory(field: str) -> int:
    """`VmRSS` or `VmHWM` of this process in bytes (ru_maxrss would inherit the parent's)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def measure_fresh(engine: Engine, workload: Workload) -> dict[str, Any]:
    """Seconds for import and first read, or bytes by which one read raises the peak."""
    from checksum import checksum
    from datasets import array_path

    path = str(array_path(ROOT, workload.dataset))
    array = engine.opener(THREADS)(path, workload.store)
    if workload.kind == "open":
        found = workload.run(array)
        measured = {"seconds": [time.perf_counter() - STARTED]}
    else:
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        found = workload.run(array)
        measured = {"bytes": [memory("VmHWM") - before]}
    return measured | {"checksum": None if engine.name == "floor" else checksum(found)}


def loop(engine: Engine, workload: Workload, path: str) -> None:
    """Run one workload repeatedly, for perf and strace."""
    session = Session(engine)
    session.prepare(workload.name, path)
    print(f"pid {os.getpid()}: {workload.name} on {engine.name}, stop with Ctrl-C", flush=True)
    end = time.perf_counter() + float(os.environ.get("BENCH_SECONDS", "10"))
    taken = []
    while time.perf_counter() < end:
        taken += session.run(1)["seconds"]
    print(f"{len(taken)} runs, minimum {min(taken) * 1e3:.3f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("--fresh")
    parser.add_argument("--loop")
    parser.add_argument("--path")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.engine == "oracle":
        serve(Oracle)
        return
    from engines import ENGINES
    from workloads import WORKLOADS

    engine = ENGINES[given.engine]
    if given.fresh:
        make = {"do": "measure_fresh", "engine": engine, "workload": WORKLOADS[given.fresh]}
        print(json.dumps(answer(sys.modules[__name__], make)))
    elif given.loop:
        loop(engine, WORKLOADS[given.loop], given.path)
    else:
        serve(lambda: Session(engine))


if __name__ == "__main__":
    main()
