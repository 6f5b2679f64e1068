"""The learning curve as a PNG, for people."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from policy_api.v1 import artifact_pb2
from policyd_trainer.rollouts.episodes import EpisodeLog
from policyd_trainer.runs.curve import Curve

ENTROPY, VARIANCE = "train/entropy_loss", "train/explained_variance"


def draw(curve: Curve, episodes: EpisodeLog, metadata: artifact_pb2.PolicyMetadata) -> bytes:
    """Draws the return over environment steps, with the intervals of the evaluation.

    Entropy and explained variance are below it, on axes of their own.
    """
    has_critic = bool(curve.series(VARIANCE)[0])
    figure = Figure(figsize=(9, 7.5 if has_critic else 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    rows = 3 if has_critic else 2
    axes = figure.subplots(rows, 1, sharex=True, height_ratios=[3, 1, 1][:rows])
    _draw_returns(axes[0], curve, episodes, metadata.evaluation)
    steps, negative_entropy = curve.series(ENTROPY)
    _draw_line(axes[1], steps, [-value for value in negative_entropy], "tab:purple", "entropy, nats")
    if has_critic:
        _draw_line(axes[2], *curve.series(VARIANCE), "tab:brown", "explained variance")
        axes[2].set_ylim(max(-1.0, min([0.0, *curve.series(VARIANCE)[1]]) - 0.05), 1.05)
    axes[-1].set_xlabel("environment steps")
    figure.suptitle(
        f"{metadata.policy}: {metadata.algorithm} on {metadata.env_id}, seed {metadata.seed}", fontsize=13
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_returns(
    axes: Axes, curve: Curve, episodes: EpisodeLog, evaluation: artifact_pb2.Evaluation
) -> None:
    single = "single episodes" if episodes.every == 1 else f"every {episodes.every}th episode"
    axes.plot(episodes.env_steps, episodes.returns, ".", color="tab:gray", alpha=0.35, ms=3, label=single)
    axes.plot(*curve.series("rollout/ep_rew_mean"), color="tab:blue", label="mean of the last 100 episodes")
    end = curve.points[-1].env_steps if curve.points else 1
    for offset, name, color in ((1.02, "greedy", "tab:green"), (1.045, "sampled", "tab:orange")):
        figures = getattr(evaluation, name)
        if not figures.episodes:
            continue
        margins = [[figures.mean - figures.ci_low], [figures.ci_high - figures.mean]]
        label = f"evaluation, {name}: {figures.mean:.2f} (95%: {figures.ci_low:.2f} to {figures.ci_high:.2f})"
        axes.errorbar(
            [offset * end], [figures.mean], yerr=margins, fmt="o", capsize=4, color=color, label=label
        )
    axes.set_ylabel("return of an episode")
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=9)


def _draw_line(axes: Axes, steps: Sequence[int], values: Sequence[float], color: str, label: str) -> None:
    axes.plot(steps, values, color=color)
    axes.set_ylabel(label, fontsize=9)
    axes.grid(alpha=0.3)
