"""What answering needs of a distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from policyd_server.heads.draws import Draws
from policyd_server.sampling import Bool, Float32

Columns = dict[str, NDArray[Any]]  # [B, ...] by ActResponse's field: int64 `actions`, otherwise float32


class Head(Protocol):
    """One distribution with its parameters."""

    @property
    def mask_width(self) -> int:
        """Elements of a row of an action mask; 0: it takes neither mask nor temperature."""

    def plausible(self, outputs: Sequence[Float32]) -> bool:
        """Whether these can be the outputs of a sound graph."""

    def check_mask(self, mask: Bool) -> None:
        """InvalidArgument: a row of the mask [B, mask_width] leaves nothing to choose."""

    def reweight(
        self, outputs: Sequence[Float32], rows: slice, temperature: float, mask: Bool | None
    ) -> None:
        """Temperature and mask, in place, for some rows."""

    def decide(self, outputs: Sequence[Float32], draws: Draws) -> Columns:
        """Actions, and what they were drawn from."""
