"""The picture of a canary: how the interval of the difference went, and the share."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from policy_api.v1 import traffic_pb2


def draw_canary(canary: traffic_pb2.Canary, path: Path) -> None:
    """Writes a PNG: the difference of mean returns with its interval, over compared episodes."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    known = [point for point in canary.points if point.HasField("low")]
    episodes = [point.episodes for point in known]
    above.fill_between(
        episodes, [p.low for p in known], [p.high for p in known], alpha=0.25, color="#1f4e79", step="post"
    )
    above.step(episodes, [p.difference for p in known], where="post", color="#1f4e79")
    if known:  # mark the last look, which decided
        last = known[-1]
        above.plot([last.episodes, last.episodes], [last.low, last.high], color="#1f4e79")
        above.plot(last.episodes, last.difference, "o", color="#1f4e79")
    else:
        above.set_yticks([0])
        above.text(0.5, 0.6, "no interval yet", transform=above.transAxes, ha="center")
    above.axhline(0, color="#444444", linewidth=0.8)
    above.set_ylabel("difference of mean return")
    state = traffic_pb2.Canary.State.Name(canary.state)
    above.set_title(
        f"version {canary.version} beside {canary.base_version}: {state}\n{canary.reason}", fontsize=10
    )
    shares = [canary.config.share, *(point.share for point in canary.points)]
    below.step([0, *(p.episodes for p in canary.points)], shares, where="post", color="#1f4e79")
    below.set_xlim(0, max([1, *(point.episodes for point in canary.points)]) * 1.02)
    below.xaxis.get_major_locator().set_params(integer=True)
    below.set_ylim(0, 1)
    below.yaxis.set_major_formatter(PercentFormatter(1.0))
    below.set_ylabel("share")
    below.set_xlabel("episodes of the canary that were compared")
    figure.savefig(path, dpi=110)
