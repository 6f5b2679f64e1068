"""One picture of the simulated canaries: how they ended, and after how many episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.evidence.canaries import PROMOTED, ROLLED_BACK, RUNNING, Outcomes

COLOURS = {PROMOTED: "#2a7f62", ROLLED_BACK: "#b23a48", RUNNING: "#b8b8b8"}
NAMES = {PROMOTED: "promoted", ROLLED_BACK: "share taken back", RUNNING: "cannot tell yet"}


def draw_chart(found: Sequence[Outcomes], path: Path) -> None:
    """Writes the picture."""
    mpl.use("Agg")
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    ends, served = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(found))[::-1]
    left = np.zeros(len(found))
    for end in (PROMOTED, RUNNING, ROLLED_BACK):
        widths = np.array([outcomes.share(end) for outcomes in found])
        ends.barh(rows, widths, left=left, color=COLOURS[end], label=NAMES[end])
        left += widths
    ends.set_yticks(rows, [outcomes.case.name for outcomes in found])
    ends.set_xlabel("share of the canaries")
    ends.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=3, frameon=False)
    for row, outcomes in zip(rows, found, strict=True):
        low, middle, high = np.quantile(np.maximum(1, outcomes.served), [0.05, 0.5, 0.95])
        served.plot([low, high], [row, row], color="#444444", linewidth=3, solid_capstyle="butt")
        served.plot(middle, row, "o", color="#1f4e79")
    served.axvline(0.02 * found[0].planned, color="#b23a48", linestyle="--", label="2% of the plan")
    served.set_xscale("log")
    served.set_xlabel("episodes answered\n(median, 5% to 95%)")
    served.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=110)
