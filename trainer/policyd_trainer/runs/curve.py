"""The learning curve: figures along a run, under the names that Stable-Baselines3 uses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from policyd_trainer.algorithms.interface import Loop

FILE = "learning_curve.json"  # published beside the model


@dataclass(frozen=True)
class Point:
    """Figures at one moment."""

    env_steps: int
    wall_time: float  # seconds since the epoch
    scalars: Mapping[str, float]


@dataclass
class Curve:
    """Points in the order of env_steps."""

    points: list[Point] = field(default_factory=list)

    def to_json(self) -> bytes:
        """The points as a JSON list, without figures that are not finite."""
        points = [asdict(point) for point in self.points]
        for point in points:
            point["scalars"] = {n: value for n, value in point["scalars"].items() if math.isfinite(value)}
        return json.dumps(points, allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Curve:
        """The points that `to_json` wrote."""
        return cls([Point(**point) for point in json.loads(content)])

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """(env_steps, values) of the points that have this scalar."""
        having = [point for point in self.points if name in point.scalars]
        return [point.env_steps for point in having], [point.scalars[name] for point in having]


def measure(loop: Loop, wall_time: float, env_steps_per_second: float) -> Point:
    """The figures at this moment, under stable-baselines3's names.

    Losses are those of the last batch, after its update.
    """
    scalars = {"time/fps": env_steps_per_second, "train/learning_rate": loop.rates().learning_rate}
    scalars["train/n_updates"] = float(loop.updates)
    episodes = loop.episodes
    if episodes.mean_return is not None and episodes.mean_length is not None:
        scalars["rollout/ep_rew_mean"] = episodes.mean_return
        scalars["rollout/ep_len_mean"] = episodes.mean_length
    with np.errstate(all="ignore"):  # in a run that diverges they overflow
        scalars |= loop.losses()
    return Point(loop.counters.env_steps, wall_time, scalars)
