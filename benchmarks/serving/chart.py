"""One picture of a run: answers per second and p99 of every contestant in every cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.serving.results import Cell, Measurement, Results, label, median, p99, rate

COLOURS = {"ours": "#1f6fb4", "limit": "#b0b0b0", "peer": "#d9822b"}


def draw(results: Results, path: Path) -> None:
    """A grid of bar charts: a row for each cell, a column for each quantity."""
    cells = results.grid()
    height = 0.6 + 0.18 * len(results.names())
    figure = Figure(figsize=(11, height * len(cells)))
    axes = figure.subplots(len(cells), len(_QUANTITIES), squeeze=False)
    for line, cell in zip(axes, cells, strict=True):
        for axis, (value, title) in zip(line, _QUANTITIES, strict=True):
            _bars(axis, results, cell, value)
            axis.set_title(f"{title}, {label(cell)}", fontsize=9)
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    figure.legend(handles, ["policyd", "in C (limit)", "peers"], loc="upper center", ncols=3, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / figure.get_figheight()))
    figure.savefig(path, dpi=110)


_QUANTITIES = ((rate, "requests/s"), (p99, "p99 ms"))


def _bars(axis: Axes, results: Results, cell: Cell, value: Callable[[Measurement], float]) -> None:
    names = [name for name in reversed(results.names()) if results.of(name, cell)]
    rounds: list[list[Measurement]] = [results.of(name, cell) for name in names]
    middle = [median(value(m) for m in measured) for measured in rounds]
    low = [centre - min(value(m) for m in measured) for centre, measured in zip(middle, rounds, strict=True)]
    high = [max(value(m) for m in measured) - centre for centre, measured in zip(middle, rounds, strict=True)]
    colours = [COLOURS[results.kinds[name]] for name in names]
    bars = axis.barh(names, middle, xerr=[low, high], color=colours, error_kw={"lw": 0.8, "capsize": 2})
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    form = "{:,.0f}" if value is rate else "{:.2f}"
    axis.bar_label(bars, labels=[form.format(centre) for centre in middle], fontsize=7, padding=4)
    axis.margins(x=0.2)
