"""Checking a receipt: what that version answers, and what that seed draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_api import sampling
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
    return [check_actions(receipt), *check_probabilities(receipt, client, tolerance)]


def check_actions(receipt: Receipt) -> Check:
    """Each action follows from (seed, row, probabilities) as docs/SAMPLING.md says; needs no server."""
    wrong = [row.row for row in receipt.rows if _action(receipt, row) != row.action]
    rule = "the mode" if receipt.deterministic else f"drawn with seed {receipt.seed}"
    if wrong:
        return Check("actions", False, f"the actions of rows {wrong} are not {rule}")
    return Check("actions", True, f"{len(receipt.rows)} actions are {rule}")


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
    wanted = np.array([row.action_probs for row in receipt.rows], dtype=np.float32)  # [batch, n]
    same = answer.digest == receipt.digest
    name = f"version {receipt.version} of {receipt.policy}"
    digest = Check(
        "digest", same, f"{name} has the digest {answer.digest[:12]}, receipt {receipt.digest[:12]}"
    )
    if wanted.shape != answer.action_probs.shape:
        text = f"probabilities [batch, n]: server {answer.action_probs.shape}, receipt {wanted.shape}"
        return [digest, Check("probabilities", False, text)]
    gap = float(np.abs(wanted - answer.action_probs).max())
    text = f"{name} gives these probabilities: largest difference {gap:.2g}, allowed {tolerance:.2g}"
    return [digest, Check("probabilities", gap <= tolerance, text)]


def _action(receipt: Receipt, row: Row) -> int:
    if receipt.deterministic:
        return sampling.mode(row.action_probs)
    return sampling.sample(row.action_probs, receipt.seed, row.row)
