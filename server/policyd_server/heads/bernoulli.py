"""Independent bits: MultiBinary actions. Bit j of a row uses its draw j."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policyd.tensors import PROBS
from policyd_server.heads.draws import Draws
from policyd_server.heads.interface import Columns
from policyd_server.sampling import Bool, Float32


@dataclass(frozen=True, slots=True)
class BernoulliHead:
    """Outputs action_logits and action_probs, [B, n] each, for the event that a bit is 1."""

    n: int

    @property
    def mask_width(self) -> int:
        """One element per bit."""
        return self.n

    def plausible(self, outputs: Sequence[Float32]) -> bool:
        """Whether the probabilities are between 0 and 1."""
        return bool(((outputs[1] >= 0) & (outputs[1] <= 1)).all())

    def check_mask(self, mask: Bool) -> None:
        """Accepts every mask: if no bit may be 1, all bits are 0."""

    def reweight(
        self, outputs: Sequence[Float32], rows: slice, temperature: float, mask: Bool | None
    ) -> None:
        """Computes p_j = m_j / (1 + exp(-z_j / T)), in float64, rounded to float32."""
        logits, probs = outputs
        scaled = logits[rows].astype(np.float64) / temperature
        weighted = np.exp(-np.logaddexp(0.0, -scaled))
        probs[rows] = weighted if mask is None else np.where(mask, weighted, 0.0)

    def decide(self, outputs: Sequence[Float32], draws: Draws) -> Columns:
        """Returns bits [B, n]: 1 if the uniform number is below p. The mode is 1 if p > 1/2."""
        probs = outputs[1]
        p = probs.astype(np.float64)
        bits = np.stack([draws.uniforms(j) for j in range(self.n)], axis=1) < p
        if draws.any_deterministic:
            bits = np.where(draws.deterministic()[:, None], p > 0.5, bits)
        log_probs = np.log(np.where(bits, p, 1.0 - p)).sum(axis=1)
        return {"actions": bits.astype(np.int64), PROBS: probs, "log_probs": log_probs.astype(np.float32)}
