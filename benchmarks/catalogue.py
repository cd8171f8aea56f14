"""Prints what the driver needs to know about engines and workloads, as JSON."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict

from datasets import DATASETS, layout
from engines import ENGINES
from targets import allowance
from workloads import WORKLOADS, Workload, whole


def _workload(workload: Workload, small: bool, threads: int) -> dict[str, object]:
    dataset = DATASETS[workload.dataset]
    found = layout(dataset, small)
    item, compressed = found["item"], dataset.codec != "raw"
    output, chunk = (math.prod(found[key]) * item for key in ("shape", "chunks"))
    return {
        "name": workload.name,
        "family": workload.family,
        "dataset": workload.dataset,
        "kind": workload.kind,
        "writes": workload.writes,
        "fresh": workload.fresh_process,
        "layout": found,
        # The limit program supports only whole three-dimensional arrays on disk, in one byte order.
        "limit": workload.family.startswith(("whole", "subchunks", "tiny files"))
        and workload.run is whole,
        "allowance": allowance(output, chunk, compressed, threads),
    }


if __name__ == "__main__":
    small, threads = os.environ["BENCH_SMALL"] == "1", int(os.environ["BENCH_THREADS"])
    workloads = {name: _workload(one, small, threads) for name, one in WORKLOADS.items()}
    engines = {name: asdict(engine) for name, engine in ENGINES.items()}
    print(json.dumps({"engines": engines, "workloads": workloads}))
