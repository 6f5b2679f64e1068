"""Pictures of how policies learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

Curve = Sequence[tuple[int, float]]
COLOURS = ("#1f4e79", "#2a7f62", "#b23a48", "#b8860b", "#6a4c93", "#444444", "#8c564b", "#17becf")


def draw(curves: Mapping[str, Sequence[Curve]], target: float, path: Path, title: str) -> None:
    """Draws the mean return of the last 100 episodes: one colour per name, one line per seed."""
    mpl.use("Agg")
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for colour, (name, lines) in zip(COLOURS * 4, curves.items(), strict=False):
        for number, line in enumerate(lines):
            known = [(x, y) for x, y in line if y > float("-inf")]
            axes.plot(
                [x for x, _ in known],
                [y for _, y in known],
                color=colour,
                linewidth=1.4,
                alpha=0.8,
                label=None if number else name,
            )
    axes.axhline(target, color="#888888", linestyle="--", linewidth=1, label="target")
    axes.set_xlabel("decisions of the clients")
    axes.set_ylabel("mean return of their last 100 episodes")
    axes.set_title(title, loc="left")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
