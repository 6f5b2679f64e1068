"""Several choices at once: MultiDiscrete actions. Branch j of a row uses its draw j."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from policyd.tensors import PROBS
from policyd_server import sampling
from policyd_server.heads.categorical import check_choice, choose
from policyd_server.heads.draws import Draws
from policyd_server.heads.interface import Columns
from policyd_server.sampling import Bool, Float32


@dataclass(frozen=True, slots=True)
class MultiCategoricalHead:
    """Outputs action_logits and action_probs, [B, sum of nvec] each, one branch after the other."""

    nvec: tuple[int, ...]

    @property
    def mask_width(self) -> int:
        """One element per choice of each branch."""
        return sum(self.nvec)

    def plausible(self, outputs: Sequence[Float32]) -> bool:
        """Whether the probabilities of each branch add up to 1."""
        return all(np.allclose(outputs[1][:, part].sum(axis=1), 1, atol=1e-3) for _, part in self._branches())

    def check_mask(self, mask: Bool) -> None:
        """Raises InvalidArgument if a branch of a row allows no choice."""
        for j, part in self._branches():
            check_choice(mask[:, part], f"no allowed choice of branch {j}")

    def reweight(
        self, outputs: Sequence[Float32], rows: slice, temperature: float, mask: Bool | None
    ) -> None:
        """Computes new probabilities from the logits, branch by branch."""
        logits, probs = outputs
        for _, part in self._branches():
            allowed = None if mask is None else mask[:, part]
            probs[rows, part] = sampling.reweight(logits[rows, part], temperature, allowed)

    def decide(self, outputs: Sequence[Float32], draws: Draws) -> Columns:
        """Returns indices [B, branches]. log_probs are those of all branches together."""
        probs = outputs[1]
        actions = np.empty((len(probs), len(self.nvec)), np.int64)
        log_probs = np.zeros(len(probs))
        every = np.arange(len(probs))
        for j, part in self._branches():
            branch = probs[:, part]
            actions[:, j] = choose(branch, draws, j)
            log_probs += np.log(branch[every, actions[:, j]].astype(np.float64))
        return {"actions": actions, PROBS: probs, "log_probs": log_probs.astype(np.float32)}

    def _branches(self) -> Iterator[tuple[int, slice]]:
        start = 0
        for j, n in enumerate(self.nvec):
            yield j, slice(start, start + n)
            start += n
