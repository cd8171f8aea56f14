"""Plots ours over the best peer as horizontal bars, from the JSON of a run; writes PNG and SVG next to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from report import figures, ratio, verdict, worst_first

COLOURS = {"pass": "#3b7d4f", "MISS": "#c2542d", "no peer": "#888888"}


def draw(results: dict, stem: Path) -> None:
    records = [record for record in worst_first(results) if ratio(record) is not None]
    ratios = [ratio(record) for record in records]
    if not ratios:
        return
    places = range(len(records))
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.21 * len(records)), layout="constrained")
    colours = [COLOURS[verdict(record)] for record in records]
    axes.barh(places, [x - 1 for x in ratios], left=1, color=colours, height=0.7)
    lowest = min(0.2, *ratios) / 1.2
    for bound, marker in (("floor", "|"), ("limit", "D")):
        # Where the bound itself lies on this scale; bounds outside of it are left out.
        found = [
            (figures(record)[bound] / figures(record)["ours"] * x, y)
            for record, x, y in zip(records, ratios, places, strict=True)
            if bound in figures(record) and record["unit"] == "seconds"
        ]
        found = [place for place in found if place[0] > lowest]
        if found:
            axes.scatter(*zip(*found, strict=True), marker=marker, s=24, c="#222", label=bound)
    axes.axvline(1, color="#222", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(lowest, max(2, *ratios) * 1.1)
    axes.set_yticks(places, [record["name"] for record in records], fontsize=7)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel("time of zarrs / time of the best other engine (left of 1: faster)")
    axes.set_axisbelow(True)
    axes.grid(axis="x", which="both", linewidth=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8)
    for ending in (".png", ".svg"):
        figure.savefig(stem.with_suffix(ending), dpi=150)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    draw(json.loads(path.read_text()), path)
