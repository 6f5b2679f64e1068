"""`policyctl act`: asks for the actions of one batch of observations."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click
import numpy as np

from policy_api.v1.artifact_pb2 import Space
from policyd.cli.commands.play import published
from policyd.cli.observations import array, read_rows
from policyd.cli.session import Session, columns, json_flag, pass_session, policy_option, version_options
from policyd.client.acting import Actions
from policyd.client.receipts import receipt_of


@click.command(context_settings={"ignore_unknown_options": True})  # -0.1,0.2 is an observation
@click.argument("observations", nargs=-1, required=True)
@policy_option
@version_options
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), help="Makes the sampled actions repeatable.")
@click.option("--deterministic", is_flag=True, help="Take the most probable action instead of a sample.")
@click.option("--temperature", type=float, help="Divide the logits by this number, above 0.")
@click.option(
    "--mask",
    "masks",
    multiple=True,
    help="Allowed actions of one observation, such as 1,0. Give one for each observation.",
)
@click.option(
    "--receipt",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a receipt to this file; `policyctl verify` recomputes it.",
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

    An observation is numbers such as 0,0.1,0,-0.1 or a JSON array. For a Dict or Tuple space it is
    a JSON object or array of its members.

    @FILE reads one observation or a batch from a file, and - reads from stdin: JSON, .npy, or .npz
    with one array for each member (camera, arm.angle, arr_0).
    """
    mask = array("--mask", masks, np.bool_) if masks else None
    with session.client() as client:

        def space() -> Space:
            found = published(client.get_policy(choice["policy"]), choice["version"], choice["alias"])
            return found.metadata.observation_space

        batch = read_rows(observations, space)
        chosen = client.act(batch, action_mask=mask, **choice)
    if receipt is not None:
        written = receipt_of(chosen, batch, mask, choice["deterministic"], choice["temperature"])
        receipt.write_text(written.to_json() + "\n")
    session.show(_document(chosen), _text(chosen))


def _document(chosen: Actions) -> dict[str, Any]:
    document = dataclasses.asdict(chosen)
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in document.items()
    }


def _text(chosen: Actions) -> str:
    entries = [
        (
            row,
            " ".join(f"{number:g}" for number in np.atleast_1d(chosen.actions[row])),
            f"{np.exp(chosen.log_probs[row]):.4f}",
            " ".join(f"{p:.4f}" for p in chosen.action_probs[row]) or "-",
            "-" if chosen.values is None else f"{chosen.values[row]:.3f}",
        )
        for row in range(len(chosen.actions))
    ]
    head = f"{chosen.policy} version {chosen.version} ({chosen.digest[:12]}), seed {chosen.seed}"
    return f"{head}\n" + columns(("ROW", "ACTION", "PROBABILITY", "ACTION_PROBS", "VALUE"), entries)
