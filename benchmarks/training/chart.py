"""Return over wall clock as a picture.

The mean over seeds, and the band from the worst to the best.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.training.contestants import TASKS
from benchmarks.training.results import Results, band


def draw(results: Results, path: Path) -> None:
    """Writes a PNG with one panel per environment."""
    env_ids = list(dict.fromkeys(env_id for _, env_id in results.cells()))
    figure, panels = plt.subplots(1, len(env_ids), figsize=(6.2 * len(env_ids), 3.8), squeeze=False)
    for panel, env_id in zip(panels[0], env_ids, strict=True):
        for index, name in enumerate(name for name, env in results.cells() if env == env_id):
            runs = results.of(name, env_id)
            first = max(run.curve[0].seconds for run in runs)
            moments = np.geomspace(first, max(run.seconds for run in runs), 200)
            mean, lowest, highest = band(runs, moments)
            (line,) = panel.plot(moments, mean, label=name, color=f"C{index}", linewidth=1.5)
            panel.fill_between(moments, lowest, highest, color=line.get_color(), alpha=0.15, linewidth=0)
        panel.axhline(TASKS[env_id].threshold, color="grey", linewidth=0.8, linestyle="--")
        panel.set(title=env_id, xlabel="seconds since process start", ylabel="mean return, sampled actions")
        panel.set_xscale("log")
        panel.grid(alpha=0.2)
        panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
