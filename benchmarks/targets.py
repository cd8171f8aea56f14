"""The targets of each family of workloads. Figures in, verdict out; measures nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines import PEERS

if TYPE_CHECKING:
    from collections.abc import Callable

    Figures = dict[str, float]

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Target:
    """`text` for the table; `holds` takes the minimum of each engine and a peak's allowance.

    There is no verdict without a figure for each engine in `needs` and for at least one peer.
    """

    text: str
    holds: Callable[[Figures, float], bool]
    needs: tuple[str, ...] = ()

    def judged(self, figures: Figures) -> bool:
        return best_peer(figures) is not None and all(name in figures for name in self.needs)


def best_peer(figures: Figures) -> tuple[str, float] | None:
    """The fastest (or smallest) of the peers that gave the right answer."""
    found = [(figures[name], name) for name in PEERS if name in figures]
    return (min(found)[1], min(found)[0]) if found else None


def _ratio(figures: Figures, other: str) -> float:
    return figures["ours"] / figures[other]


def _of_best(figures: Figures) -> float:
    best = best_peer(figures)
    assert best is not None, "judged() comes first"
    return figures["ours"] / best[1]


def _at_most(bound: float) -> Target:
    return Target(f"≤ {bound} best", lambda figures, _: _of_best(figures) <= bound)


def _compressed(figures: Figures, _: float) -> bool:
    at_limit = "limit" in figures and _ratio(figures, "limit") <= 1.0
    return _of_best(figures) <= 0.85 or at_limit


def _part(figures: Figures, _: float) -> bool:
    at_floor = "floor" in figures and _ratio(figures, "floor") <= 1.15
    return _of_best(figures) <= 1.0 or at_floor


def _tiny_read(figures: Figures, _: float) -> bool:
    return figures["ours"] - figures["floor"] <= 20e-6


def _lists(figures: Figures, _: float) -> bool:
    return _ratio(figures, "fused") <= 0.6 and _ratio(figures, "tensorstore") <= 1.0


def _threads(figures: Figures, _: float) -> bool:
    return _ratio(figures, "fused") <= 1.0


def _import(figures: Figures, _: float) -> bool:
    return figures["ours"] - figures["batched"] <= 30e-3


def _peak(figures: Figures, allowed: float) -> bool:
    # The floor shows what zarr-python itself allocates for the call; it never touches its output.
    return figures["ours"] - figures["floor"] <= allowed


TARGETS = {
    "whole raw": _at_most(0.6),
    "whole shards": _at_most(0.65),
    "whole compressed": Target("≤ 0.85 best or ≤ limit", _compressed),
    "subchunks": _at_most(0.35),
    "tiny files": _at_most(0.9),
    "part": Target("≤ best or ≤ 1.15 floor", _part),
    "tiny read": Target("≤ floor + 20 µs", _tiny_read, ("floor",)),
    "threads": Target("≤ fused", _threads, ("fused",)),
    "lists and points": Target("≤ 0.6 fused, ≤ tensorstore", _lists, ("fused", "tensorstore")),
    "data types": _at_most(0.5),
    "memory": _at_most(0.4),
    "writes": _at_most(0.9),
    "import": Target("≤ batched + 30 ms", _import, ("batched",)),
    "peak memory": Target("≤ output + chunks a thread", _peak, ("floor",)),
}


def allowance(output: int, chunk: int, compressed: bool, threads: int) -> float:
    """How many bytes a read may add to the peak: the output, and one (raw) or two chunks per thread."""
    return output + (2 if compressed else 1) * max(chunk, MEBIBYTE) * threads
