"""The report's pictures as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from policy_api.v1.artifact_pb2 import PolicyMetadata, Space
from policy_api.v1.gate_pb2 import DifferenceInterval, GateConfig, GateVerdict, PairedReturns
from policyd.counted import counted

NEW, OLD = "tab:blue", "tab:orange"
PARTS = 8  # most branches or elements of an action that are shown
COLUMNS = 4  # of them side by side
LABELLED = 16  # with at most so many alternatives, each has a label and the scale is 0 to 1


def returns(metadata: PolicyMetadata, verdict: GateVerdict | None) -> bytes:
    """Histograms of episode returns, greedy and sampled.

    The champion's are added if the gate compared them.
    """
    compared = verdict is not None and bool(verdict.greedy.champion or verdict.sampled.champion)
    figure = _figure(9, 5.2 if compared else 3.6)
    if verdict is None or not compared:
        panels = figure.subplots(1, 2)
        for axes, name in zip(panels, ("greedy", "sampled"), strict=True):
            _histograms(axes, [("this version", list(getattr(metadata.evaluation, name).returns), NEW)])
            axes.set_title(f"{name}: the evaluation's episodes", fontsize=10)
        return _png(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=[3, 1])
    for column, name in enumerate(("greedy", "sampled")):
        _paired(figure.add_subplot(grid[0, column]), name, getattr(verdict, name), verdict.champion_version)
    _differences(figure.add_subplot(grid[1, :]), verdict)
    return _png(figure)


def actions(space: Space, greedy: np.ndarray, sampled: np.ndarray) -> bytes:
    """How often each action is taken in the states that episodes visit.

    `greedy` and `sampled` are the actions, [V, ...] each.
    """
    counts = f"{len(greedy)} of the greedy and {len(sampled)} of the sampled evaluation's states"
    greedy, sampled = greedy.reshape(len(greedy), -1), sampled.reshape(len(sampled), -1)
    elements = greedy.shape[1]
    parts = min(elements, PARTS)
    figure = _figure(9, 3.2 if parts <= COLUMNS else 5.8)
    panels = figure.subplots(-(-parts // COLUMNS), min(parts, COLUMNS), squeeze=False).flat
    for part, axes in enumerate(panels):
        if part >= parts:
            axes.remove()
            continue
        draw = _densities if space.HasField("box") and greedy.dtype.kind == "f" else _shares
        draw(axes, greedy[:, part], sampled[:, part])
        axes.set_title(f"action[{part}]" if elements > 1 else "action", fontsize=10)
        if part % COLUMNS == 0:
            axes.set_ylabel("share of visited states")
    shown = f", the first {parts} of {elements} elements" if elements > parts else ""
    figure.suptitle(f"in {counts}, drawn evenly from all steps{shown}", fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return _png(figure)


def _paired(axes: Axes, name: str, pairs: PairedReturns, champion: int) -> None:
    new, old = list(pairs.challenger), list(pairs.champion)
    _histograms(axes, [("this version", new, NEW), (f"version {champion}", old, OLD)])
    axes.set_title(f"{name}: {counted(len(new), 'paired episodes')}", fontsize=10)


def _histograms(axes: Axes, series: Sequence[tuple[str, list[float], str]]) -> None:
    values = np.concatenate([np.array(numbers) for _, numbers, _ in series] or [np.zeros(0)])
    if not len(values):
        axes.text(0.5, 0.5, "no episodes", ha="center", va="center", transform=axes.transAxes)
        return
    edges = _edges(values)
    for label, numbers, color in series:
        mean = float(np.mean(numbers))
        axes.hist(numbers, bins=list(edges), alpha=0.55, color=color, label=f"{label}: mean {mean:.2f}")
        axes.axvline(mean, color=color, linewidth=1.5)
    axes.set_xlabel("return of an episode")
    axes.set_ylabel("episodes")
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.legend(fontsize=9, loc="upper left")


def _edges(values: np.ndarray) -> np.ndarray:
    """The edges of the bins, with some width even if all values are equal."""
    low, high = float(values.min()), float(values.max())
    margin = 0.5 * max(1.0, abs(high) * 0.02) if high - low < 1e-9 else 0.0
    return np.linspace(low - margin, high + margin, 26)


def _differences(axes: Axes, verdict: GateVerdict) -> None:
    """Draws the intervals of the mean difference.

    The interval that decided is thick, and the accepted loss is dashed.
    """
    rows: list[tuple[str, DifferenceInterval, float]] = [
        ("sampled", verdict.sampled.difference, 1.5),
        ("greedy", verdict.greedy.difference, 1.5),
        ("decided", verdict.difference, 4.0),
    ]
    for height, (_, found, width) in enumerate(rows):
        axes.plot([found.low, found.high], [height, height], color="tab:gray", linewidth=width)
        axes.plot([found.mean], [height], "o", color="black", markersize=5)
    axes.axvline(0, color="tab:red", linewidth=1)
    if verdict.config.criterion == GateConfig.NOT_WORSE:
        axes.axvline(-verdict.config.margin, color="tab:red", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    coverage = f"{verdict.difference.coverage:.0%} intervals"
    axes.set_xlabel(f"return of this version minus that of version {verdict.champion_version}, {coverage}")


def _shares(axes: Axes, greedy: np.ndarray, sampled: np.ndarray) -> None:
    kinds = np.unique(np.concatenate((greedy, sampled)))
    places = np.arange(len(kinds))
    for offset, name, chosen, color in ((-0.2, "greedy", greedy, NEW), (0.2, "sampled", sampled, OLD)):
        shares = [float(np.mean(chosen == kind)) for kind in kinds]
        axes.bar(places + offset, shares, width=0.38, color=color, label=name)
    every = -(-len(kinds) // LABELLED)
    axes.set_xticks(places[::every], [str(kind) for kind in kinds[::every]])
    if every == 1:
        axes.set_ylim(0, 1)


def _densities(axes: Axes, greedy: np.ndarray, sampled: np.ndarray) -> None:
    edges = list(_edges(np.concatenate((greedy, sampled))))
    for name, chosen, color in (("greedy", greedy, NEW), ("sampled", sampled, OLD)):
        shares = np.full(len(chosen), 1 / len(chosen))
        axes.hist(chosen, bins=edges, weights=shares, alpha=0.55, color=color, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.ticklabel_format(axis="x", useOffset=False)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
