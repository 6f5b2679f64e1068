"""The weights beside the model, to start another run from.

With them are the moments by which observations are scaled. The model's description leaves those of
images out, and rounds the others.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from policyd.errors import CorruptArtifact
from policyd_trainer.algorithms.build import Weights
from policyd_trainer.estimators.normalization import RunningMoments

FILE = "weights.npz"


def dump_weights(weights: Weights, moments: RunningMoments | None = None) -> bytes:
    """Flat parameters as an uncompressed npz: `actor` [P], with a critic `critic` [P].

    With moments also `mean` [D], `squares` [D] and `count` [].
    """
    arrays = {"actor": weights.actor} | ({} if weights.critic is None else {"critic": weights.critic})
    if moments is not None:
        arrays |= {"mean": moments.mean, "squares": moments.squares, "count": np.array(moments.count)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def load_weights(content: bytes) -> Weights:
    """The weights that `dump_weights` wrote.

    Raises:
        CorruptArtifact: the content is not such a file.
    """
    with _opened(content) as arrays:
        return Weights(arrays["actor"], arrays.get("critic"))


def load_moments(content: bytes, fresh: RunningMoments) -> RunningMoments | None:
    """The moments that `dump_weights` wrote, for rows like those of `fresh`.

    None if the file has none, as those of older releases, or has those of other rows.

    Raises:
        CorruptArtifact: the content is not such a file.
    """
    with _opened(content) as arrays:
        if "count" not in arrays or arrays["mean"].shape != fresh.mean.shape:
            return None
        return replace(fresh, mean=arrays["mean"], squares=arrays["squares"], count=int(arrays["count"]))


@contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            yield arrays
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CorruptArtifact(f"{FILE}: not a file of weights ({error})") from error
