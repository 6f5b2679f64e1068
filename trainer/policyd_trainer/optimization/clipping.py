"""Gradient clipping by norm."""

from __future__ import annotations

import math
from typing import Any

from policyd_trainer import compiled
from policyd_trainer.arrays import Array, is_compiled


def clip_by_norm(xp: Any, gradient: Array, max_norm: float | None) -> Array:
    """Scales `gradient` [P] in place to an L2 norm of at most `max_norm`. Returns the old norm.

    g <- g * min(1, max_norm / (|g| + 1e-6)), as torch.nn.utils.clip_grad_norm_. It does not
    wait for a GPU. A norm that is not finite stays so, and the caller checks it.
    """
    if is_compiled(xp, gradient):
        return compiled.updates.clip_norm(gradient, math.inf if max_norm is None else max_norm)
    norm = xp.sqrt(xp.dot(gradient, gradient))
    if max_norm is not None:
        gradient *= (max_norm / (norm + 1e-6)).clip(max=1.0)
    return norm
