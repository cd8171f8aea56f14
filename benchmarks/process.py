"""The driver's side of an engine's process, which stays alive: one JSON line out, one back."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

# The variables by which the libraries set their number of threads.
THREAD_VARIABLES = (
    "BENCH_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "BLOSC_NTHREADS",
    "NUMEXPR_NUM_THREADS",
)


def environment(data: Path, small: bool, threads: int) -> dict[str, str]:
    """The environment variables of every engine's process: the same data, the same number of threads."""
    mine = {name: str(threads) for name in THREAD_VARIABLES}
    mine |= {"BENCH_DATA": str(data), "BENCH_SMALL": "1" if small else "0"}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ZARR_")}
    return inherited | mine


class Process:
    """A process that starts at the first request, and again after a crash; its output goes to `log`."""

    def __init__(self, command: list[str], variables: dict[str, str], log: Path) -> None:
        self.command = command
        self.variables = variables
        self.log = log
        self.child: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any], timeout: float = 300) -> dict[str, Any]:
        """The reply, or `failed` with the reason why the process ended."""
        child = self._alive()
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            return self._lost("ended")
        with selectors.DefaultSelector() as waiting:
            waiting.register(child.stdout, selectors.EVENT_READ)
            if not waiting.select(timeout):
                return self._lost(f"gave no answer in {timeout:.0f} s")
        line = child.stdout.readline()
        return json.loads(line) if line else self._lost("ended")

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None

    def _alive(self) -> subprocess.Popen[bytes]:
        if self.child is None:
            with self.log.open("ab") as log:
                self.child = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self.variables,
                    cwd=HERE,
                )
        return self.child

    def _lost(self, how: str) -> dict[str, Any]:
        self.stop()
        return {"failed": f"the process {how}; see {self.log}"}
