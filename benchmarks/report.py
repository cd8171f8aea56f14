"""The table of a run, worst first. Reads only the JSON in results/; measures nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from targets import MEBIBYTE, TARGETS, best_peer


def figures(record: dict[str, Any]) -> dict[str, float]:
    """The minimum of each engine that gave the right answer: seconds, or bytes for a peak."""
    return {name: min(e["rounds"]) for name, e in record["engines"].items() if "rounds" in e}


def ratio(record: dict[str, Any]) -> float | None:
    """Ours over the best peer."""
    found = figures(record)
    best = best_peer(found)
    return found["ours"] / best[1] if best and "ours" in found else None


def verdict(record: dict[str, Any]) -> str:
    """pass, MISS, or the reason why there is no verdict."""
    ours = record["engines"].get("ours")
    if ours is None:
        return "not run"
    for reason in ("failed", "skipped"):
        if reason in ours:
            return reason
    target = TARGETS[record["family"]]
    if not target.judged(figures(record)):
        return "no peer"
    return "pass" if target.holds(figures(record), record["allowance"]) else "MISS"


def worst_first(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Failures first, then missed targets, then the rest; each group by falling ratio."""
    order = ("failed", "MISS", "pass", "no peer", "skipped", "not run")
    return sorted(
        results["workloads"],
        key=lambda record: (order.index(verdict(record)), -(ratio(record) or 0)),
    )


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "bytes":
        return f"{value / MEBIBYTE:.1f} MiB"
    return f"{value * 1e3:.3g} ms" if value < 0.1 else f"{value * 1e3:.0f} ms"


def _times(numerator: float | None, denominator: float | None) -> str:
    return f"{numerator / denominator:.2f}" if numerator and denominator else "–"


def _row(record: dict[str, Any]) -> list[str]:
    found = figures(record)
    ours = found.get("ours")
    name, best = best_peer(found) or ("–", None)
    return [
        record["name"],
        _times(ours, best),
        _amount(ours, record["unit"]),
        _amount(best, record["unit"]),
        name,
        # The floor never touches its output, so its peak is meaningless as a divisor.
        _times(ours, found.get("floor")) if record["unit"] == "seconds" else "–",
        _times(ours, found.get("limit")),
        TARGETS[record["family"]].text,
        verdict(record),
    ]


HEAD = ["workload", "ours/best", "ours", "best peer", "", "ours/floor", "ours/limit", "target", ""]


def table(results: dict[str, Any]) -> str:
    """One line per workload, then what was skipped or failed and why, then the totals."""
    records = worst_first(results)
    rows = [HEAD, *map(_row, records)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    reasons: dict[str, list[str]] = {}
    for record in records:
        for engine, one in record["engines"].items():
            for how in ("failed", "skipped"):
                if how in one:
                    reasons.setdefault(f"{how}: {engine}: {one[how]}", []).append(record["name"])
    lines += ["", *(f"{reason} ({', '.join(names)})" for reason, names in sorted(reasons.items()))]
    loads = [record.get("load", 0.0) for record in records]
    # The engines take turns, so a load above their number of threads comes from other programs.
    if loads and max(loads) > results["settings"]["threads"] + 2:
        lines += ["", f"the machine was busy (load up to {max(loads):.0f}): long runs mean little"]
    verdicts = [verdict(record) for record in records]
    missed = sum(v == "MISS" for v in verdicts)
    return "\n".join(
        [*lines, "", f"{verdicts.count('pass')} pass, {missed} miss, {len(rows) - 1} in all"]
    )


def ratios(results: dict[str, Any]) -> str:
    """Ours over zarr's two pipelines and over the best of the others, as Markdown."""
    lines = ["| workload | zarrs ÷ zarr batched | zarrs ÷ zarr fused | zarrs ÷ best other |"]
    lines.append("|---|---|---|---|")
    for record in worst_first(results):
        found = figures(record)
        others = {k: v for k, v in found.items() if k not in ("batched", "fused")}
        name, best = best_peer(others) or ("", None)
        cells = [_times(found.get("ours"), found.get(zarr)) for zarr in ("batched", "fused")]
        cells.append(f"{_times(found.get('ours'), best)} {name}".strip())
        lines.append(f"| {record['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def medians(results: dict[str, Any]) -> str:
    """Every engine's minimum and median in milliseconds (peaks in MiB), as Markdown."""
    names = list(results["engines"])
    lines = ["| workload | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for record in worst_first(results):
        scale = 1 / MEBIBYTE if record["unit"] == "bytes" else 1e3
        cells = []
        for name in names:
            one = record["engines"].get(name, {})
            if "rounds" in one:
                cells.append(f"{min(one['rounds']) * scale:.4g} / {one['median'] * scale:.4g}")
            else:
                cells.append("–")
        lines.append(f"| {record['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())))
