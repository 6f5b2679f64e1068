"""Independent normals, squashed or clipped: Box actions. Element j of a row uses its draw j."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy_api.v1.artifact_pb2 import GaussianDistribution
from policyd.tensors import MEAN, STD
from policyd_server.heads.draws import Draws
from policyd_server.heads.interface import Columns
from policyd_server.heads.quantile import midpoints, normal_quantile
from policyd_server.sampling import Bool, Float32, Float64

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False, slots=True)
class GaussianHead:
    """Outputs action_mean and action_std, [B, size] each.

    They describe the normal samples u before the squash.
    """

    size: int
    tanh: bool  # tanh squash; otherwise the actions are clipped
    low: Float64  # [size]
    high: Float64  # [size]
    integral: bool  # the action space has integers, so actions are rounded, halves to even

    @classmethod
    def of(cls, described: GaussianDistribution, *, integral: bool) -> GaussianHead:
        """Returns the head that the artifact describes."""
        tanh = described.squash == GaussianDistribution.TANH
        low, high = np.array(described.low), np.array(described.high)
        return cls(int(described.size), tanh, low, high, integral)

    @property
    def mask_width(self) -> int:
        """0: it takes neither masks nor temperatures."""
        return 0

    def plausible(self, outputs: Sequence[Float32]) -> bool:
        """Whether the means are finite and the standard deviations positive."""
        mean, std = outputs
        return bool(np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all())

    def check_mask(self, mask: Bool) -> None:
        """Never called: there are no masks."""

    def reweight(
        self, outputs: Sequence[Float32], rows: slice, temperature: float, mask: Bool | None
    ) -> None:
        """Never called: there are neither masks nor temperatures."""

    def decide(self, outputs: Sequence[Float32], draws: Draws) -> Columns:
        """Returns the actions to play, and the normal samples with their densities."""
        mean, std = (output.astype(np.float64) for output in outputs)
        uniforms = np.stack([draws.uniforms(j) for j in range(self.size)], axis=1)  # [B, size]
        u = mean + std * normal_quantile(midpoints(uniforms))
        if draws.any_deterministic:
            u = np.where(draws.deterministic()[:, None], mean, u)
        samples: Float32 = u.astype(np.float32)
        return {
            "vectors": self._actions(samples.astype(np.float64)),
            "log_probs": self.log_probs(mean, std, samples.astype(np.float64)),
            MEAN: outputs[0],
            STD: outputs[1],
            "gaussian_samples": samples,
        }

    def _actions(self, u: Float64) -> Float32:
        """Returns u after the squash, rounded to float32, but still within the bounds."""
        actions = self.low + (np.tanh(u) + 1) / 2 * (self.high - self.low) if self.tanh else u
        if self.integral:
            actions = np.rint(actions)
        rounded: Float32 = actions.astype(np.float32)
        np.clip(rounded, _inward(self.low, 1), _inward(self.high, -1), out=rounded)
        return rounded

    def log_probs(self, mean: Float64, std: Float64, u: Float64) -> Float32:
        """Returns the log-density of each action [B], natural logarithm.

        It is sum_j log N(u_j; mean_j, std_j). With the squash, log |d action_j / d u_j| is
        subtracted.
        """
        terms = -0.5 * ((u - mean) / std) ** 2 - np.log(std) - HALF_LOG_2PI
        if self.tanh:
            distance = np.abs(u)
            slope = math.log(4) - 2 * distance - 2 * np.log1p(np.exp(-2 * distance))
            terms -= np.log((self.high - self.low) / 2) + slope
        log_probs: Float32 = terms.sum(axis=1).astype(np.float32)
        return log_probs


def _inward(bounds: Float64, direction: int) -> Float32:
    """Returns the nearest float32 numbers to the bounds that do not lie outside of them."""
    with np.errstate(over="ignore", invalid="ignore"):  # infinite bounds stay infinite
        rounded = bounds.astype(np.float32)
        outside = (bounds - rounded) * direction > 0
    return np.where(outside, np.nextafter(rounded, np.float32(direction * math.inf)), rounded)
