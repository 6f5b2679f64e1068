"""`policyctl verify`: recomputes a response from its receipt."""

from __future__ import annotations

from pathlib import Path

import click

from policyd.cli.exits import Exit
from policyd.cli.session import Session, json_flag, pass_session
from policyd.client import receipts
from policyd.receipts import Receipt


@click.command()
@click.argument("receipt", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-6,
    show_default=True,
    help="Largest difference of a probability. Another batch size may change the last bits.",
)
@json_flag
@pass_session
def verify(session: Session, receipt: Path, tolerance: float) -> Exit:
    """Recompute the response that RECEIPT describes.

    The sampling is recomputed here, the probabilities on the server.
    """
    loaded = Receipt.from_json(receipt.read_bytes())
    with session.client() as client:
        checked = receipts.verify(loaded, client, tolerance=tolerance)
    lines = [f"{'ok  ' if check.holds else 'FAIL'} {check.text}" for check in checked]
    document = {
        "verified": all(check.holds for check in checked),
        "checks": [{"name": c.name, "holds": c.holds, "text": c.text} for c in checked],
    }
    session.show(document, "\n".join(lines))
    return Exit.OK if document["verified"] else Exit.NOT_VERIFIED
