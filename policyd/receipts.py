"""Receipts: all that is needed to recompute a response, and the checks that need no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy_api.v1.artifact_pb2 import Distribution, PolicyMetadata
from policyd import sampling
from policyd.counted import counted
from policyd.errors import InvalidArgument


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Row(_Strict):
    """One observation and the action that the server chose for it."""

    #: The row's sampling index.
    row: int = Field(ge=0)
    #: The observation, flattened in row-major order; float32 values.
    observation: list[float]
    #: The actions that were allowed; None: all.
    action_mask: list[bool] | None = None
    #: The probabilities after temperature and mask; float32 values.
    action_probs: list[float]
    #: For Box actions: mean and standard deviation of the normal distribution, before the squash.
    action_mean: list[float] = []
    action_std: list[float] = []
    #: For Box actions: the sample that was drawn from it.
    gaussian_samples: list[float] = []
    #: An index from 0; or one index per branch or bit; or the numbers of a Box action.
    action: int | list[int] | list[float]


class Receipt(_Strict):
    """What `policyctl act --receipt` writes and `policyctl verify` reads."""

    #: Version of this format.
    format: Literal[1] = 1
    policy: str
    version: int = Field(ge=1)
    #: SHA-256 of the version's model.onnx.
    digest: str
    #: Seed of the sampling; 0 for deterministic responses.
    seed: int = Field(ge=0, lt=2**64)
    deterministic: bool
    #: The temperature, above 0; None: 1.
    temperature: float | None = Field(default=None, gt=0)
    rows: list[Row]

    def to_json(self) -> str:
        """Returns one JSON document; reading it back gives the same float32 numbers."""
        return self.model_dump_json(indent=2, exclude_none=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Receipt:
        """Reads a receipt. Raises InvalidArgument, which names the first wrong field."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "receipt"
            raise InvalidArgument.of(field, got=repr(first["input"])[:80], wanted=first["msg"]) from error


@dataclass(frozen=True)
class Check:
    """The result of recomputing one part of a receipt."""

    name: str
    holds: bool
    #: What was compared, as text.
    text: str


def check_actions(receipt: Receipt, metadata: PolicyMetadata) -> Check:
    """Checks that each action follows from its seed, row and distribution.

    docs/guide/sampling.md defines how.
    """
    space = metadata.action_space
    is_integer_box = space.HasField("box") and np.dtype(space.box.dtype).kind in "iu"

    def follows(row: Row) -> bool:
        computed = expected_action(receipt, row, metadata.distribution)
        return _same(np.rint(computed).tolist() if is_integer_box else computed, row.action)

    wrong = [row.row for row in receipt.rows if not follows(row)]
    rule = "the mode" if receipt.deterministic else f"drawn with seed {receipt.seed}"
    if wrong:
        return Check("actions", False, f"the actions of rows {wrong} are not {rule}")
    return Check("actions", True, f"{counted(len(receipt.rows), 'actions')} recomputed: {rule}")


def expected_action(receipt: Receipt, row: Row, distribution: Distribution) -> int | list[int] | list[float]:
    """Returns the action that the row's distribution and the receipt's seed give."""
    probs, seed, greedy = row.action_probs, receipt.seed, receipt.deterministic
    kind = distribution.WhichOneof("kind")
    if kind == "multi_categorical":
        nvec = distribution.multi_categorical.nvec
        if greedy:
            return sampling.branch_modes(probs, nvec)
        return sampling.sample_branches(probs, nvec, seed, row.row)
    if kind == "bernoulli":
        return sampling.bit_modes(probs) if greedy else sampling.sample_bits(probs, seed, row.row)
    if kind == "gaussian":
        mean, std = row.action_mean, row.action_std
        u = mean if greedy else sampling.sample_normal(mean, std, seed, row.row)
        return sampling.box_action(distribution.gaussian, u)
    return sampling.mode(probs) if greedy else sampling.sample(probs, seed, row.row)


def check_probabilities(
    receipt: Receipt, digest: str, computed: Sequence[Sequence[float]], tolerance: float
) -> list[Check]:
    """Checks that a version has the receipt's digest and gives its probabilities.

    `computed` [batch, n] is what the version gives for the receipt's observations: action
    probabilities, or means and then standard deviations.
    """
    expected = np.array([parameters(row) for row in receipt.rows], dtype=np.float32)  # [batch, n]
    given = np.array(computed, dtype=np.float32)
    same = digest == receipt.digest
    name = f"version {receipt.version} of {receipt.policy}"
    checked = Check("digest", same, f"{name} has the digest {digest[:12]}, receipt {receipt.digest[:12]}")
    if expected.shape != given.shape:
        text = f"probabilities [batch, n]: server {given.shape}, receipt {expected.shape}"
        return [checked, Check("probabilities", False, text)]
    gap = float(np.abs(expected - given).max())
    text = f"{name} gives these probabilities: largest difference {gap:.2g}, allowed {tolerance:.2g}"
    return [checked, Check("probabilities", gap <= tolerance, text)]


def parameters(row: Row) -> list[float]:
    """Returns the numbers that determine the row's distribution."""
    return [*row.action_probs, *row.action_mean, *row.action_std]


def _same(computed: int | list[int] | list[float], answered: int | list[int] | list[float]) -> bool:
    """Whether both actions are equal: indices exactly, Box numbers after rounding to float32."""
    left, right = np.atleast_1d(computed), np.atleast_1d(answered)
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=1e-6, atol=1e-6))
