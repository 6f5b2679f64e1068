"""`policyctl act`: one batch of observations, and what to do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from policy_api import spaces
from policy_api.errors import InvalidArgument
from policyctl.acting import Actions
from policyctl.client import PolicyClient
from policyctl.commands.play import published
from policyctl.receipt import Receipt
from policyctl.session import Session, columns, json_flag, pass_session, policy_option, version_options


@click.command(context_settings={"ignore_unknown_options": True})  # -0.1,0.2 is an observation
@click.argument("observations", nargs=-1, required=True)
@policy_option
@version_options
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), help="Makes the sampled actions repeatable.")
@click.option("--deterministic", is_flag=True, help="The most probable action instead of a sample.")
@click.option("--temperature", type=float, help="Divides the logits, above 0.")
@click.option(
    "--mask", "masks", multiple=True, help="Allowed actions of an observation, as 1,0; one for each."
)
@click.option(
    "--receipt",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what `policyctl verify` needs to this file.",
)
@json_flag
@pass_session
def act(
    session: Session,
    /,
    observations: tuple[str, ...],
    masks: tuple[str, ...],
    receipt: Path | None,
    **choice: Any,
) -> None:
    """Ask for one action for each of OBSERVATIONS.

    An observation is numbers such as 0,0.1,0,-0.1, a JSON array, or, for a Dict or Tuple space, its members
    as a JSON object or array.
    """
    mask = _array("--mask", masks, np.bool_) if masks else None
    with session.client() as client:
        if _is_composite(observations):
            batch = _members(client, observations, choice)
        else:
            batch = _array("observations", observations, np.float32)
        answer = client.act(batch, action_mask=mask, **choice)
    if receipt is not None:
        made = Receipt.of(answer, batch, mask, choice["deterministic"], choice["temperature"])
        receipt.write_text(made.to_json() + "\n")
    session.show(_document(answer), _text(answer))


def _is_composite(items: tuple[str, ...]) -> bool:
    """Whether these are members of a Dict or Tuple: an object, or an array whose parts differ in shape."""
    for item in items:
        if item.lstrip().startswith("{"):
            return True
        if item.lstrip().startswith("["):
            try:
                np.asarray(json.loads(item), np.float32)
            except (TypeError, ValueError):
                return True
    return False


def _array(name: str, items: tuple[str, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """[batch, ...] from one item a row."""
    try:
        rows = [np.asarray(_numbers(item), dtype=dtype) for item in items]
        return np.stack(rows)
    except ValueError as error:
        wanted = f"rows of equal length such as 0,0.1 or [0, 0.1]: {error}"
        raise InvalidArgument.of(name, got=" ".join(items), wanted=wanted) from error


def _members(client: PolicyClient, items: tuple[str, ...], choice: dict[str, Any]) -> NDArray[np.float32]:
    """[batch, D] from JSON objects, laid out as the policy's observation space says."""
    version = published(client.get_policy(choice["policy"]), choice["version"], choice["alias"])
    parts = spaces.leaves(version.metadata.observation_space)
    try:
        return np.stack([spaces.flatten(parts, json.loads(item)) for item in items])
    except ValueError as error:
        wanted = f"JSON objects with the members of the observation space: {error}"
        raise InvalidArgument.of("observations", got=" ".join(items), wanted=wanted) from error


def _numbers(item: str) -> Any:
    return json.loads(item) if item.lstrip().startswith("[") else [float(n) for n in item.split(",")]


def _document(answer: Actions) -> dict[str, Any]:
    document = dataclasses.asdict(answer)
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in document.items()
    }


def _text(answer: Actions) -> str:
    rows = [
        (
            row,
            " ".join(f"{number:g}" for number in np.atleast_1d(answer.actions[row])),
            f"{np.exp(answer.log_probs[row]):.4f}",
            " ".join(f"{p:.4f}" for p in answer.action_probs[row]) or "-",
            "-" if answer.values is None else f"{answer.values[row]:.3f}",
        )
        for row in range(len(answer.actions))
    ]
    head = f"{answer.policy} version {answer.version} ({answer.digest[:12]}), seed {answer.seed}"
    return f"{head}\n" + columns(("ROW", "ACTION", "PROBABILITY", "ACTION_PROBS", "VALUE"), rows)
