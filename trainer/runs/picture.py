"""The learning curve as a PNG, for people."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from policy_api.v1 import artifact_pb2
from trainer.runs.curve import Curve

FILE = "learning_curve.png"


def draw(curve: Curve, metadata: artifact_pb2.PolicyMetadata) -> bytes:
    """Return over environment steps with the evaluation's intervals, and below it entropy and value fit."""
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    returns, learning = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    _draw_returns(returns, curve, metadata.evaluation)
    _draw_learning(learning, curve)
    figure.suptitle(
        f"{metadata.policy}: {metadata.algorithm} on {metadata.env_id}, seed {metadata.seed}", fontsize=13
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_returns(axes: Axes, curve: Curve, evaluation: artifact_pb2.Evaluation) -> None:
    axes.plot(*curve.series("rollout/ep_rew_mean"), color="tab:blue", label="training, last 100 episodes")
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


def _draw_learning(axes: Axes, curve: Curve) -> None:
    steps, negative_entropy = curve.series("train/entropy_loss")
    axes.plot(steps, [-value for value in negative_entropy], color="tab:purple", label="entropy, nats")
    steps, variance = curve.series("train/explained_variance")
    if steps:
        axes.plot(steps, variance, color="tab:gray", label="explained variance of the critic")
        axes.set_ylim(bottom=max(-1.0, min([0.0, *variance]) - 0.05))
    axes.set_xlabel("environment steps")
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=9)
