"""The rounds: runs every engine in turn, compares every result with NumPy's, and keeps minimum and median."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import environments
from process import HERE, Process, environment

if TYPE_CHECKING:
    import argparse

# An engine this many times slower than the fastest cannot be the best peer; two rounds suffice to show it.
HOPELESS = 5
# Short runs are repeated within a round until they fill this time (seconds), at most MOST times.
ROUND, MOST = 0.1, 30


class Bench:
    """The process of the oracle, those of the engines, and the scratch copies that writes go to."""

    def __init__(self, given: argparse.Namespace, catalogue: dict[str, Any]) -> None:
        self.given = given
        self.engines = catalogue["engines"]
        self.workloads = catalogue["workloads"]
        self.names = given.engines.split(",") if given.engines else list(self.engines)
        unknown = set(self.names) - set(self.engines)
        if unknown:
            raise SystemExit(f"unknown engines {sorted(unknown)}; there are {list(self.engines)}")
        self.variables = environment(given.data, given.small, given.threads)
        self.processes: dict[str, Process] = {}
        self.unavailable: dict[str, str] = {}
        self.records: list[dict[str, Any]] = []
        given.data.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.given.data / "scratch", ignore_errors=True)

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()

    # -- Data -------------------------------------------------------------------------------------

    def oracle(self, do: str, **request: Any) -> dict[str, Any]:
        reply = self.process("oracle").ask({"do": do, **request}, timeout=1800)
        if "failed" in reply:
            raise RuntimeError(f"oracle: {reply['failed']}")
        return reply

    def dataset(self, name: str) -> Path:
        return Path(self.oracle("create", name=name)["path"])

    def scratch(self, engine: str, workload: dict[str, Any]) -> Path:
        """The engine's own copy to write to: the whole array for an update, otherwise only its metadata."""
        source = self.dataset(workload["dataset"])
        copy = self.given.data / "scratch" / f"{workload['name']}-{engine}"
        shutil.rmtree(copy, ignore_errors=True)
        if workload["kind"] == "update":
            shutil.copytree(source, copy)
        else:
            copy.mkdir(parents=True)
            shutil.copy(source / "zarr.json", copy)
        # Flush pending writes, so that the next engine does not pay for them.
        os.sync()
        return copy

    # -- Processes --------------------------------------------------------------------------------

    def command(self, engine: str) -> list[str]:
        if engine == "limit":
            return [str(environments.limit_program())]
        where = "zarr" if engine == "oracle" else self.engines[engine]["environment"]
        return [str(environments.python(where)), "worker.py", engine]

    def process(self, engine: str) -> Process:
        if engine not in self.processes:
            log = self.given.data / f"{engine}.log"
            self.processes[engine] = Process(self.command(engine), self.variables, log)
        return self.processes[engine]

    def ask(self, engine: str, **request: Any) -> dict[str, Any]:
        if engine not in self.unavailable:
            try:
                return self.process(engine).ask(request)
            except (RuntimeError, OSError) as error:
                # An engine without its environment is left out; the others go on.
                print(f"{engine}: {error}", file=sys.stderr)
                self.unavailable[engine] = str(error).splitlines()[0]
        return {"failed": self.unavailable[engine]}

    # -- Measuring --------------------------------------------------------------------------------

    def measure_all(self) -> None:
        """Measure the chosen workloads into `records`, one by one, so that an interrupted run keeps its results."""
        pattern = re.compile(self.given.only or "")
        chosen = [
            w for w in self.workloads.values() if any(map(pattern.search, (w["name"], w["family"])))
        ]
        if not chosen:
            raise SystemExit("no such workload; --list prints them")
        for number, workload in enumerate(chosen, 1):
            print(f"[{number}/{len(chosen)}] {workload['name']}", file=sys.stderr, flush=True)
            engines = self.measure_fresh(workload) if workload["fresh"] else self.measure(workload)
            kept = {key: workload[key] for key in ("name", "family", "dataset", "allowance")}
            unit = "bytes" if workload["kind"] == "peak" else "seconds"
            load = os.getloadavg()[0]
            self.records.append({**kept, "unit": unit, "load": load, "engines": engines})

    def measure(self, workload: dict[str, Any]) -> dict[str, Any]:
        """A warm-up, then the rounds; each round starts with another engine."""
        path = self.dataset(workload["dataset"])
        expected = self.oracle("expect", name=workload["name"])["checksum"]
        runs = {}
        for engine in self.names:
            if engine != "limit" or workload["limit"]:
                runs[engine] = Run(self, engine, workload, path, expected)
        for run in runs.values():
            run.begin()
        # The bounds do not compete: compared with the floor, every engine would be hopeless.
        roles = {name: self.engines[name]["role"] for name in runs}
        warm = [run.first for name, run in runs.items() if run.first and roles[name] != "bound"]
        repeats = 1
        if warm and workload["kind"] != "write":
            repeats = max(1, min(MOST, int(ROUND / statistics.median(warm))))
        for number in range(self.given.rounds):
            turn = list(runs.values())
            for run in turn[number % len(turn) :] + turn[: number % len(turn)]:
                hopeless = warm and run.first and run.first > HOPELESS * min(warm)
                if number < 2 or roles[run.engine] == "ours" or not hopeless:
                    run.round(repeats)
        return {engine: run.finish() for engine, run in runs.items()}

    def measure_fresh(self, workload: dict[str, Any]) -> dict[str, Any]:
        """Measure each figure in a new process."""
        self.dataset(workload["dataset"])
        expected = self.oracle("expect", name=workload["name"])["checksum"]
        found: dict[str, dict[str, Any]] = {}
        for _ in range(self.given.rounds):
            for engine in self.names:
                if engine == "limit" or "rounds" not in found.setdefault(engine, {"rounds": []}):
                    continue
                reply = self.fresh(engine, workload)
                if reply.get("checksum") not in (None, expected):
                    reply = {"failed": "wrong answer"}
                if "failed" in reply or "skipped" in reply:
                    found[engine] = {k: v for k, v in reply.items() if k in ("failed", "skipped")}
                else:
                    found[engine]["rounds"] += reply.get("seconds") or reply["bytes"]
        for one in found.values():
            if "rounds" in one:
                one["median"] = statistics.median(one["rounds"])
        return found

    def fresh(self, engine: str, workload: dict[str, Any]) -> dict[str, Any]:
        try:
            command = [*self.command(engine), "--fresh", workload["name"]]
        except RuntimeError as error:
            return {"failed": str(error).splitlines()[0]}
        done = subprocess.run(
            command, env=self.variables, cwd=HERE, capture_output=True, text=True, check=False
        )
        lines = done.stdout.splitlines()
        return json.loads(lines[-1]) if lines else {"failed": done.stderr.strip()[-200:]}


class Run:
    """One engine on one workload."""

    def __init__(
        self, bench: Bench, engine: str, workload: dict[str, Any], path: Path, expected: str
    ) -> None:
        self.bench, self.engine, self.workload = bench, engine, workload
        self.path, self.expected = path, expected
        self.first: float | None = None
        self.seconds: list[float] = []
        self.ended: dict[str, str] = {}

    def begin(self) -> None:
        """Open the array and run once, which warms the page cache and shows how long a run takes."""
        if self.workload["writes"] and self.engine != "limit":
            self.path = self.bench.scratch(self.engine, self.workload)
        if self.engine == "limit":
            layout = {**self.workload["layout"], "path": str(self.path)}
            reply = self._ask("prepare", layout=layout)
        else:
            reply = self._ask("prepare", name=self.workload["name"], path=str(self.path))
        if reply is not None and (reply := self._ask("run", repeats=1)) is not None:
            self.first = reply["seconds"][0]

    def round(self, repeats: int) -> None:
        if self.ended:
            return
        if self.workload["kind"] == "write":
            self._empty()
        reply = self._ask("run", repeats=repeats)
        if reply is not None:
            self.seconds += reply["seconds"]

    def finish(self) -> dict[str, Any]:
        """The figures, or the reason why there are none."""
        if not self.ended and self.workload["writes"] and self.engine != "floor":
            held = self.bench.oracle("read_back", path=str(self.path))["checksum"]
            if held != self.expected:
                self.ended = {"failed": "wrong content after the write"}
        self._ask("close")
        if self.workload["writes"]:
            shutil.rmtree(self.path, ignore_errors=True)
        if self.ended:
            return self.ended
        median = statistics.median(self.seconds)
        return {"rounds": self.seconds, "median": median, "first": self.first}

    def _empty(self) -> None:
        shutil.rmtree(self.path / "c", ignore_errors=True)
        os.sync()

    def _ask(self, do: str, **request: Any) -> dict[str, Any] | None:
        """The reply if it counts; otherwise None, and the run has ended."""
        if self.ended:
            return None
        reply = self.bench.ask(self.engine, do=do, **request)
        if reply.get("checksum") not in (None, self.expected):
            reply = {"failed": "wrong answer"}
        self.ended = {key: reply[key] for key in ("failed", "skipped") if key in reply}
        return None if self.ended else reply
