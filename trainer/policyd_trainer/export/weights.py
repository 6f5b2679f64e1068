"""The weights beside the model, to start another run from."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from policyd.errors import CorruptArtifact
from policyd_trainer.algorithms.build import Weights

FILE = "weights.npz"


def dump_weights(weights: Weights) -> bytes:
    """Flat parameters as an uncompressed npz with `actor` [P] and, with a critic, `critic` [P]."""
    arrays = {"actor": weights.actor} | ({} if weights.critic is None else {"critic": weights.critic})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def load_weights(content: bytes) -> Weights:
    """The weights that `dump_weights` wrote.

    Raises:
        CorruptArtifact: the content is not such a file.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return Weights(arrays["actor"], arrays.get("critic"))
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CorruptArtifact(f"{FILE}: not a file of weights ({error})") from error
