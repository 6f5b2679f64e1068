"""Plain requests, from their numbers to their answers: without tickets and queue.

The same answers, bit for bit, as the way through the batcher gives.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from policy_api import sampling as scalar
from policy_api.tensors import PROBS
from server import sampling
from server.acting.decode import draw_seed
from server.acting.encode import ACTIONS, LOG_PROBS, VALUES, plain_answers, raw_answer
from server.acting.plain import Plain
from server.heads.draws import Draws, Piece
from server.sampling import Float32

# Up to so many rows are drawn one by one: arrays cost more than they save.
FEW_ROWS = 12


def answers(plain: Sequence[Plain]) -> list[bytes] | None:
    """The serialised ActResponses to requests for one version, by one call. None: a number is not finite."""
    if len(plain) == 1 == plain[0].rows:
        return _one_row(plain[0])
    model = plain[0].model
    counts = [one.rows for one in plain]
    rows = sum(counts)
    joined = plain[0].observations if len(plain) == 1 else b"".join([one.observations for one in plain])
    assert model.bound is not None
    found = model.bound.infer(joined, rows)
    if found is None:
        return None
    probs, values = found
    seeds = [draw_seed() if one.seed is None else one.seed for one in plain]
    draw = _few if rows <= FEW_ROWS else _many
    actions, log_probs = draw(plain, seeds, probs)
    columns = [(ACTIONS, actions), (PROBS, probs.tobytes()), (LOG_PROBS, log_probs)]
    if values is not None:
        columns.append((VALUES, values.tobytes()))
    return plain_answers(model, counts, seeds, columns)


def _one_row(plain: Plain) -> list[bytes] | None:
    """Without lists and arrays of one."""
    model = plain.model
    assert model.bound is not None
    found = model.bound.infer(plain.observations, 1)
    if found is None:
        return None
    probs, values = found
    seed = draw_seed() if plain.seed is None else plain.seed
    action, log_prob = sampling.sample_one(probs, seed, plain.first_row)
    columns = {
        ACTIONS: action.to_bytes(8, "little"),
        PROBS: probs.tobytes(),
        LOG_PROBS: log_prob.tobytes(),
    }
    if values is not None:
        columns[VALUES] = values.tobytes()
    return [raw_answer(model, 1, seed, columns)]


def _few(plain: Sequence[Plain], seeds: Sequence[int], probs: Float32) -> tuple[bytes, bytes]:
    """Actions, int64 [rows], and log-probabilities, float32 [rows]: drawn one by one."""
    table = iter(probs.tolist())
    actions, chosen = [], []
    for one, seed in zip(plain, seeds, strict=True):
        for index in range(one.first_row, one.first_row + one.rows):
            row = next(table)
            action = scalar.choose(row, scalar.uniform(seed, index))
            actions.append(action)
            chosen.append(row[action])
    return struct.pack(f"<{len(actions)}q", *actions), np.log(chosen).astype(np.float32).tobytes()


def _many(plain: Sequence[Plain], seeds: Sequence[int], probs: Float32) -> tuple[bytes, bytes]:
    """The same, drawn all at once."""
    pieces = [
        Piece(seed, one.first_row, one.rows, deterministic=False)
        for one, seed in zip(plain, seeds, strict=True)
    ]
    actions = sampling.choose(probs, Draws(pieces).uniforms())
    return actions.tobytes(), sampling.log_probs(probs, actions).tobytes()
