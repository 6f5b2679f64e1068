"""Plain small requests, from request to answer: the commonest, without tickets and queue.

The same answers, bit for bit, as the way through the batcher gives; whatever is not plain goes that way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from policy_api.tensors import PROBS
from policy_api.v1.policy_pb2 import ActRequest
from server import sampling
from server.acting.decode import draw_seed
from server.acting.encode import ACTIONS, raw_answer
from server.acting.queue import SMALL_ROWS
from server.heads.draws import Draws, Piece
from server.heads.interface import Columns
from server.models.version import LoadedVersion

LOG_PROBS, VALUES = "log_probs", "values"


def plain_rows(request: ActRequest, model: LoadedVersion) -> int:
    """Rows of a plain request: a few raw observations, sampled as the graph says. 0: it is not plain."""
    observations = request.observations
    rows, rest = divmod(len(observations.raw), model.observation_bytes)
    plain = (
        rest == 0
        and rows <= SMALL_ROWS
        and model.one_row is not None
        and not observations.values
        and not request.typed_observations
        and not request.deterministic
        and not request.HasField("action_mask")
        and not request.HasField("temperature")
    )
    return rows if plain else 0


def answer(request: ActRequest, model: LoadedVersion) -> bytes | None:
    """The serialised ActResponse. None: the request is not plain and of one row, or it is not finite."""
    one = model.one_row
    if one is None or plain_rows(request, model) != 1 or not one.infer(request.observations.raw):
        return None
    seed = _seed(request)
    action, log_prob = sampling.sample_one(one.probs, seed, request.first_row)
    columns = {
        ACTIONS: action.to_bytes(8, "little"),
        PROBS: one.probs.tobytes(),
        LOG_PROBS: log_prob.tobytes(),
    }
    if one.values is not None:
        columns[VALUES] = one.values.tobytes()
    return raw_answer(model, 1, seed, columns)


def answers(
    requests: Sequence[ActRequest], counts: Sequence[int], model: LoadedVersion
) -> list[bytes] | None:
    """The same for plain requests with these rows, by one call. None: an observation is not finite."""
    joined = b"".join([request.observations.raw for request in requests])
    observations = np.frombuffer(joined, np.float32).reshape(-1, *model.observation_shape)  # [B, *shape]
    if not np.isfinite(observations).all():
        return None
    (_, probs), values = model.infer(observations)
    seeds = [_seed(request) for request in requests]
    pieces = [
        Piece(seed, request.first_row, rows, deterministic=False)
        for seed, request, rows in zip(seeds, requests, counts, strict=True)
    ]
    actions = sampling.choose(probs, Draws(pieces).uniforms())
    columns: Columns = {ACTIONS: actions, PROBS: probs, LOG_PROBS: sampling.log_probs(probs, actions)}
    if values is not None:
        columns[VALUES] = values
    return [
        raw_answer(model, rows, seed, part)
        for rows, seed, part in zip(counts, seeds, _parts(columns, counts), strict=True)
    ]


def _seed(request: ActRequest) -> int:
    return request.seed if request.HasField("seed") else draw_seed()


def _parts(columns: Columns, counts: Sequence[int]) -> Iterator[dict[str, bytes]]:
    """The bytes of each request's rows of each column."""
    sized = [(name, column.tobytes(), column.nbytes // len(column)) for name, column in columns.items()]
    start = 0
    for rows in counts:
        stop = start + rows
        yield {name: data[start * size : stop * size] for name, data, size in sized}
        start = stop
