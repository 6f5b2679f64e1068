"""Saving environments whole, where they can be."""

from __future__ import annotations

import io
import pickle
from typing import Any

from gymnasium.utils import EzPickle

from policyd_trainer.environments.calls import PICKLE


class _WholePickler(pickle.Pickler):
    """Refuses objects that pickle only the way they were made, without their state.

    The environments of Box2D and MuJoCo do so.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, EzPickle):
            raise pickle.PicklingError(f"{type(obj).__name__} pickles its arguments, not its state")
        return NotImplemented


def dump(environments: object) -> bytes | None:
    """The environments with all their state, as bytes; None if they cannot be saved."""
    buffer = io.BytesIO()
    try:
        with PICKLE:
            _WholePickler(buffer).dump(environments)
    except Exception:  # noqa: BLE001  an environment's own pickling may raise anything
        return None
    return buffer.getvalue()


def load(snapshot: bytes) -> Any:
    """The environments that `dump` saved. Only for bytes that this run itself has written."""
    return pickle.loads(snapshot)  # noqa: S301  this run wrote it
