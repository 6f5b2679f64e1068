"""Checking a receipt: what that version answers, and what that seed draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_api import normal, sampling
from policy_api.branches import bit_modes, branch_modes, sample_bits, sample_branches
from policy_api.errors import NotFound
from policy_api.v1.artifact_pb2 import Distribution, PolicyMetadata
from policyctl.client import PolicyClient
from policyctl.receipt import Receipt, Row


@dataclass(frozen=True)
class Check:
    """One thing that was recomputed."""

    name: str
    holds: bool
    #: What was compared, for people.
    text: str


def verify(receipt: Receipt, client: PolicyClient, *, tolerance: float) -> list[Check]:
    """The actions from the receipt's probabilities, then those from the server's version.

    NotFound: the server does not have that version.
    """
    versions = {version.version: version for version in client.get_policy(receipt.policy).versions}
    if receipt.version not in versions:
        raise NotFound(f"{receipt.policy} has no version {receipt.version}; versions: {sorted(versions)}")
    metadata = versions[receipt.version].metadata
    return [check_actions(receipt, metadata), *check_probabilities(receipt, client, tolerance)]


def check_actions(receipt: Receipt, metadata: PolicyMetadata) -> Check:
    """Each action follows from (seed, row, distribution) as docs/SAMPLING.md says."""
    space = metadata.action_space
    whole = space.HasField("box") and np.dtype(space.box.dtype).kind in "iu"  # a Box of integers

    def follows(row: Row) -> bool:
        computed = drawn(receipt, row, metadata.distribution)
        return _same(np.rint(computed).tolist() if whole else computed, row.action)

    wrong = [row.row for row in receipt.rows if not follows(row)]
    rule = "the mode" if receipt.deterministic else f"drawn with seed {receipt.seed}"
    if wrong:
        return Check("actions", False, f"the actions of rows {wrong} are not {rule}")
    return Check("actions", True, f"{len(receipt.rows)} actions are {rule}")


def drawn(receipt: Receipt, row: Row, distribution: Distribution) -> int | list[int] | list[float]:
    """The action that the row's numbers and the receipt's seed give."""
    probs, seed, mode = row.action_probs, receipt.seed, receipt.deterministic
    kind = distribution.WhichOneof("kind")
    if kind == "multi_categorical":
        nvec = distribution.multi_categorical.nvec
        return branch_modes(probs, nvec) if mode else sample_branches(probs, nvec, seed, row.row)
    if kind == "bernoulli":
        return bit_modes(probs) if mode else sample_bits(probs, seed, row.row)
    if kind == "gaussian":
        u = row.action_mean if mode else normal.sample(row.action_mean, row.action_std, seed, row.row)
        return normal.to_action(distribution.gaussian, u)
    return sampling.mode(probs) if mode else sampling.sample(probs, seed, row.row)


def check_probabilities(receipt: Receipt, client: PolicyClient, tolerance: float) -> list[Check]:
    """The server's version has the receipt's digest and gives the receipt's probabilities."""
    masks = [row.action_mask for row in receipt.rows]
    answer = client.act(
        np.array([row.observation for row in receipt.rows], dtype=np.float32),
        policy=receipt.policy,
        version=receipt.version,
        action_mask=None if masks[0] is None else np.array(masks, dtype=np.bool_),
        temperature=receipt.temperature,
        deterministic=True,
    )
    wanted = np.array([_parameters(row) for row in receipt.rows], dtype=np.float32)  # [batch, n]
    given = np.hstack((answer.action_probs, answer.action_mean, answer.action_std))
    same = answer.digest == receipt.digest
    name = f"version {receipt.version} of {receipt.policy}"
    digest = Check(
        "digest", same, f"{name} has the digest {answer.digest[:12]}, receipt {receipt.digest[:12]}"
    )
    if wanted.shape != given.shape:
        text = f"probabilities [batch, n]: server {given.shape}, receipt {wanted.shape}"
        return [digest, Check("probabilities", False, text)]
    gap = float(np.abs(wanted - given).max())
    text = f"{name} gives these probabilities: largest difference {gap:.2g}, allowed {tolerance:.2g}"
    return [digest, Check("probabilities", gap <= tolerance, text)]


def _parameters(row: Row) -> list[float]:
    """What determines the row's distribution."""
    return [*row.action_probs, *row.action_mean, *row.action_std]


def _same(computed: int | list[int] | list[float], answered: int | list[int] | list[float]) -> bool:
    """Indices exactly; the numbers of a vector as float32 carries them."""
    left, right = np.atleast_1d(computed), np.atleast_1d(answered)
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=1e-6, atol=1e-6))
