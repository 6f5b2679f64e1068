"""A receipt: everything that is needed to recompute an answer later."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy_api.errors import InvalidArgument
from policyctl.acting import Actions


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Row(_Strict):
    """One observation and what was answered."""

    #: Sampling index.
    row: int = Field(ge=0)
    #: Flattened, row-major; float32 values.
    observation: list[float]
    #: Actions that were allowed; None: all.
    action_mask: list[bool] | None = None
    #: After temperature and mask; float32 values.
    action_probs: list[float]
    #: Box actions instead: of the normal distribution before the squash, and the sample drawn from it.
    action_mean: list[float] = []
    action_std: list[float] = []
    gaussian_samples: list[float] = []
    #: An index from 0; one for each branch or bit; or the numbers of a vector.
    action: int | list[int] | list[float]


class Receipt(_Strict):
    """What `act --receipt` writes and `verify` reads."""

    #: Version of this format.
    format: Literal[1] = 1
    policy: str
    version: int = Field(ge=1)
    #: SHA-256 of the version's model.onnx.
    digest: str
    #: What sampled; without meaning for deterministic answers.
    seed: int = Field(ge=0, lt=2**64)
    deterministic: bool
    #: Above 0; None: 1.
    temperature: float | None = Field(default=None, gt=0)
    rows: list[Row]

    @classmethod
    def of(
        cls,
        answer: Actions,
        observations: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None,
        deterministic: bool,
        temperature: float | None,
        first_row: int = 0,
    ) -> Receipt:
        """The receipt of an answer to `observations` [batch, ...]."""
        flat = observations.reshape(len(observations), -1)
        rows = [
            Row(
                row=first_row + i,
                observation=flat[i].tolist(),
                action_mask=None if action_mask is None else action_mask[i].tolist(),
                action_probs=answer.action_probs[i].tolist(),
                action_mean=answer.action_mean[i].tolist(),
                action_std=answer.action_std[i].tolist(),
                gaussian_samples=answer.gaussian_samples[i].tolist(),
                action=answer.actions[i].tolist(),
            )
            for i in range(len(answer.actions))
        ]
        return cls(
            policy=answer.policy,
            version=answer.version,
            digest=answer.digest,
            seed=answer.seed,
            deterministic=deterministic,
            temperature=temperature,
            rows=rows,
        )

    def to_json(self) -> str:
        """One JSON document; float32 numbers survive the way there and back."""
        return self.model_dump_json(indent=2, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Receipt:
        """Reads one; InvalidArgument names the first wrong field."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "receipt"
            raise InvalidArgument.of(field, got=repr(first["input"])[:80], wanted=first["msg"]) from error
