"""The driver: creates data and environments, runs the engines side by side, prints and plots.

Needs only the standard library; every engine runs in a process of its own environment.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import environments
from process import HERE, environment

RESULTS = HERE / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/run.py")
    add = parser.add_argument
    default = Path(tempfile.gettempdir()) / "zarrs-benchmarks"
    add(
        "--data",
        type=Path,
        default=default,
        help="folder for arrays, about 5 GB (default: %(default)s)",
    )
    add(
        "--small",
        action="store_true",
        help="arrays of 32 MiB: a smoke run, whose figures mean little",
    )
    add("--rounds", type=int, default=7)
    add("--quick", action="store_true", help="three rounds")
    add(
        "--only",
        metavar="PATTERN",
        help="only workloads whose name or family matches (regular expression)",
    )
    add("--engines", metavar="A,B", help="only these engines")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="for every engine")
    add("--list", action="store_true", help="print the workloads and exit")
    add("--profile", metavar="NAME", help="run one workload in a loop, in this process")
    add("--seconds", type=float, default=10, help="how long --profile runs")
    given = parser.parse_args()
    given.rounds = 3 if given.quick else given.rounds
    given.data = given.data.resolve() / ("small" if given.small else "full")
    return given


def description(given: argparse.Namespace) -> dict[str, Any]:
    """The workloads, as listed in the engines' environment: this process may not have NumPy."""
    ask = [environments.python("zarr"), "catalogue.py"]
    variables = environment(given.data, given.small, given.threads)
    done = subprocess.run(ask, cwd=HERE, env=variables, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def profile(given: argparse.Namespace, catalogue: dict[str, Any]) -> None:
    """Become the worker of one engine, so that `perf record` and `strace -f` see it directly."""
    import measure

    workload = catalogue["workloads"].get(given.profile)
    if workload is None:
        raise SystemExit("no such workload; --list prints them")
    engine = given.engines.split(",")[0] if given.engines else "ours"
    # Not closed, unlike after a run: the scratch copy must outlive this program.
    bench = measure.Bench(given, catalogue)
    path = bench.dataset(workload["dataset"])
    if workload["writes"]:
        path = bench.scratch(engine, workload)
    bench.stop()
    python = str(environments.python(catalogue["engines"][engine]["environment"]))
    variables = environment(given.data, given.small, given.threads)
    os.chdir(HERE)
    loop = ["worker.py", engine, "--loop", given.profile, "--path", str(path)]
    os.execve(python, [python, *loop], variables | {"BENCH_SECONDS": str(given.seconds)})


def machine() -> dict[str, Any]:
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "load": os.getloadavg(),
    }


def save(results: dict[str, Any]) -> Path:
    import report

    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"run-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(results, indent=1))
    path.with_suffix(".txt").write_text(report.table(results) + "\n")
    path.with_suffix(".md").write_text(f"{report.ratios(results)}\n\n{report.medians(results)}\n")
    try:
        subprocess.run([environments.python("plot"), "plot.py", str(path)], cwd=HERE, check=True)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"no plot: {error}", file=sys.stderr)
    return path


def main() -> int:
    given = arguments()
    catalogue = description(given)
    if given.list:
        for name, workload in catalogue["workloads"].items():
            print(f"{name:28} {workload['family']}")
        return 0
    if given.profile:
        profile(given, catalogue)
    import measure
    import report

    with measure.Bench(given, catalogue) as bench:
        try:
            bench.measure_all()
        except KeyboardInterrupt:
            print("interrupted: what follows is not the whole run", file=sys.stderr)
    settings = {"rounds": given.rounds, "threads": given.threads, "small": given.small}
    results = {
        "machine": machine(),
        "settings": settings,
        "engines": bench.names,
        "workloads": bench.records,
    }
    path = save(results)
    print(report.table(results))
    print(f"\nall figures: {path} (.md: every engine; .png, .svg: plot)")
    return int(any("failed" in record["engines"].get("ours", {}) for record in bench.records))


if __name__ == "__main__":
    sys.exit(main())
