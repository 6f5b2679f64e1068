"""One choice of n: Discrete actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policyd.errors import InvalidArgument
from policyd.tensors import PROBS
from policyd_server import compiled, sampling
from policyd_server.heads.draws import Draws
from policyd_server.heads.interface import Columns
from policyd_server.sampling import Bool, Float32

if compiled.AVAILABLE:
    from policyd_server.compiled import choice


@dataclass(frozen=True, slots=True)
class CategoricalHead:
    """Outputs action_logits and action_probs, [B, n] each."""

    n: int

    @property
    def mask_width(self) -> int:
        """One element per action."""
        return self.n

    def plausible(self, outputs: Sequence[Float32]) -> bool:
        """Whether the probabilities add up to 1."""
        return bool(np.allclose(outputs[1].sum(axis=1), 1, atol=1e-3))

    def check_mask(self, mask: Bool) -> None:
        """Raises InvalidArgument if a row allows no action."""
        check_choice(mask, "no allowed action")

    def reweight(
        self, outputs: Sequence[Float32], rows: slice, temperature: float, mask: Bool | None
    ) -> None:
        """Computes new probabilities from the logits."""
        logits, probs = outputs
        probs[rows] = sampling.reweight(logits[rows], temperature, mask)

    def decide(self, outputs: Sequence[Float32], draws: Draws) -> Columns:
        """Returns indices [B] and the probabilities that they were drawn from."""
        probs = outputs[1]
        if compiled.AVAILABLE:
            actions, log_probs = choice.decide(probs, draws.pieces)
        else:
            actions = choose(probs, draws, 0)
            log_probs = sampling.log_probs(probs, actions)
            if not np.isfinite(log_probs).all():
                raise ValueError("a row without a positive probability")
        return {"actions": actions, PROBS: probs, "log_probs": log_probs}


def choose(probs: Float32, draws: Draws, draw: int) -> sampling.Int64:
    """Returns one index per row [B], sampled with draw `draw`, or the mode."""
    actions = sampling.choose(probs, draws.uniforms(draw))
    if draws.any_deterministic:
        actions = np.where(draws.deterministic(), sampling.modes(probs), actions)
    return actions


def check_choice(mask: Bool, got: str) -> None:
    """Raises InvalidArgument if a row of the mask [B, n] allows nothing."""
    empty = np.flatnonzero(~mask.any(axis=1))
    if len(empty):
        wanted = "at least one in each row"
        raise InvalidArgument.of("action_mask", got=f"{got} in row {empty[0]}", wanted=wanted)
