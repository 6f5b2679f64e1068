"""The functions that answering needs from a distribution."""

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
        """Elements per row of an action mask. 0: the head takes neither mask nor temperature."""

    def plausible(self, outputs: Sequence[Float32]) -> bool:
        """Whether a valid graph can have these outputs."""

    def check_mask(self, mask: Bool) -> None:
        """Raises InvalidArgument if a row of the mask [B, mask_width] leaves nothing to choose."""

    def reweight(
        self, outputs: Sequence[Float32], rows: slice, temperature: float, mask: Bool | None
    ) -> None:
        """Applies temperature and mask to `rows` of the outputs, in place."""

    def decide(self, outputs: Sequence[Float32], draws: Draws) -> Columns:
        """Returns actions, and what they were drawn from, by field of ActResponse."""
