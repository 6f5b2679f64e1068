"""Receipts of a client's responses: how they are made, and the check that asks the server again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policyd.client.acting import Actions
from policyd.client.client import PolicyClient
from policyd.errors import NotFound
from policyd.receipts import Check, Receipt, Row, check_actions, check_probabilities


def receipt_of(
    actions: Actions,
    observations: NDArray[np.float32],
    action_mask: NDArray[np.bool_] | None,
    deterministic: bool,
    temperature: float | None,
    first_row: int = 0,
) -> Receipt:
    """Returns the receipt of `actions`, the response to `observations` [batch, ...]."""
    flat = observations.reshape(len(observations), -1)
    rows = [
        Row(
            row=first_row + i,
            observation=flat[i].tolist(),
            action_mask=None if action_mask is None else action_mask[i].tolist(),
            action_probs=actions.action_probs[i].tolist(),
            action_mean=actions.action_mean[i].tolist(),
            action_std=actions.action_std[i].tolist(),
            gaussian_samples=actions.gaussian_samples[i].tolist(),
            action=actions.actions[i].tolist(),
        )
        for i in range(len(actions.actions))
    ]
    return Receipt(
        policy=actions.policy,
        version=actions.version,
        digest=actions.digest,
        seed=actions.seed,
        deterministic=deterministic,
        temperature=temperature,
        rows=rows,
    )


def verify(receipt: Receipt, client: PolicyClient, *, tolerance: float) -> list[Check]:
    """Recomputes the actions from the receipt's probabilities, and the probabilities on the server.

    `tolerance` is the largest accepted difference of a probability. Raises NotFound if the server
    does not have the receipt's version.
    """
    versions = {version.version: version for version in client.get_policy(receipt.policy).versions}
    if receipt.version not in versions:
        raise NotFound(f"{receipt.policy} has no version {receipt.version}; versions: {sorted(versions)}")
    metadata = versions[receipt.version].metadata
    return [check_actions(receipt, metadata), *_asked_again(receipt, client, tolerance)]


def _asked_again(receipt: Receipt, client: PolicyClient, tolerance: float) -> list[Check]:
    """Compares the receipt's probabilities with those that the server's version gives now."""
    masks = [row.action_mask for row in receipt.rows]
    answered = client.act(
        np.array([row.observation for row in receipt.rows], dtype=np.float32),
        policy=receipt.policy,
        version=receipt.version,
        action_mask=None if masks[0] is None else np.array(masks, dtype=np.bool_),
        temperature=receipt.temperature,
        deterministic=True,
    )
    computed = np.hstack((answered.action_probs, answered.action_mean, answered.action_std))
    return check_probabilities(receipt, answered.digest, computed.tolist(), tolerance)
