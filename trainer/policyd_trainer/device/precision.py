"""How exactly matrix products are computed: the setting `precision`.

`float32`: as they are. `tf32`: NVIDIA's tensor cores with 10 bits of mantissa, a relative error of
about 1e-3 in a product. `bf16`: 7 bits, about 1e-2; parameters, losses and the optimiser stay in
float32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["float32", "tf32", "bf16"]


def set_products(precision: Precision) -> None:
    """Allows or forbids tf32 in this process's matrix products and convolutions."""
    allowed = precision != "float32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context for the passes of networks.

    It caches no converted weights, because a CUDA graph would keep using the cached ones.
    """
    if precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
