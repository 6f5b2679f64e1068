"""Flat parameter vectors and torch modules."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def load_flat(module: nn.Module, flat: np.ndarray) -> None:
    """Copies a flat parameter vector [P] into a module."""
    nn.utils.vector_to_parameters(torch.from_numpy(np.array(flat)), module.parameters())
