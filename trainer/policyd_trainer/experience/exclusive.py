"""A lock so that one job at a time learns a policy.

Two jobs would take each other's versions for an operator's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policyd.errors import FailedPrecondition
from policyd.repository.durable import locked_at_once, make_directory


@contextmanager
def only_learner(root: Path, policy: str) -> Iterator[None]:
    """Holds the policy's lock below the folder of experience.

    Raises:
        FailedPrecondition: another job holds it.
    """
    make_directory(folder := root / "learned")
    with locked_at_once(folder / f".{policy}.lock") as mine:
        if not mine:
            message = f"another job learns {policy} already: cancel that one first"
            raise FailedPrecondition(message, reason="ALREADY_LEARNING")
        yield
