"""`policyctl act`: one batch of observations, and what to do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import numpy as np

from policy_api.v1.artifact_pb2 import Space
from policyctl.acting import Actions
from policyctl.commands.play import published
from policyctl.observations import array, read_rows
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
    as a JSON object or array. @FILE reads one or a batch of them from a file, - from stdin: JSON, .npy, or
    .npz with an array for each member (camera, arm.angle, arr_0).
    """
    mask = array("--mask", masks, np.bool_) if masks else None
    with session.client() as client:

        def space() -> Space:
            found = published(client.get_policy(choice["policy"]), choice["version"], choice["alias"])
            return found.metadata.observation_space

        batch = read_rows(observations, space)
        answer = client.act(batch, action_mask=mask, **choice)
    if receipt is not None:
        made = Receipt.of(answer, batch, mask, choice["deterministic"], choice["temperature"])
        receipt.write_text(made.to_json() + "\n")
    session.show(_document(answer), _text(answer))


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
