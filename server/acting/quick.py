"""Plain requests of one raw observation, from request to answer: the commonest, without tickets and queue.

The same answers, bit for bit, as the way through the batcher gives; whatever is not plain goes that way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policy_api.tensors import PROBS
from policy_api.v1.policy_pb2 import ActRequest
from server import sampling
from server.acting.decode import draw_seed
from server.acting.encode import ACTIONS, raw_answer
from server.heads.interface import Columns
from server.models.version import LoadedVersion

LOG_PROBS, VALUES = "log_probs", "values"


def is_plain(request: ActRequest, model: LoadedVersion) -> bool:
    """One observation in raw bytes, to be sampled from the probabilities as the graph gives them."""
    observations = request.observations
    return (
        model.one_row is not None
        and len(observations.raw) == model.observation_bytes
        and not observations.values
        and not request.typed_observations
        and not request.deterministic
        and not request.HasField("action_mask")
        and not request.HasField("temperature")
    )


def answer(request: ActRequest, model: LoadedVersion) -> bytes | None:
    """The serialised ActResponse. None: the request is not plain, or its observation is not finite."""
    one = model.one_row
    if one is None or not is_plain(request, model) or not one.infer(request.observations.raw):
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


def answers(requests: Sequence[ActRequest], model: LoadedVersion) -> list[bytes] | None:
    """The same for several plain requests, by one call. None: an observation is not finite."""
    joined = b"".join([request.observations.raw for request in requests])
    observations = np.frombuffer(joined, np.float32).reshape(-1, *model.observation_shape)  # [B, *shape]
    if not np.isfinite(observations).all():
        return None
    (_, probs), values = model.infer(observations)
    seeds = [_seed(request) for request in requests]
    indices = np.array([request.first_row for request in requests], np.uint64)
    actions = sampling.choose(probs, sampling.uniforms(np.array(seeds, np.uint64), indices))
    columns: Columns = {ACTIONS: actions, PROBS: probs, LOG_PROBS: sampling.log_probs(probs, actions)}
    if values is not None:
        columns[VALUES] = values
    return [
        raw_answer(model, 1, seed, row)
        for seed, row in zip(seeds, _rows(columns, len(requests)), strict=True)
    ]


def _seed(request: ActRequest) -> int:
    return request.seed if request.HasField("seed") else draw_seed()


def _rows(columns: Columns, rows: int) -> list[dict[str, bytes]]:
    """The bytes of each row of each column."""
    whole = [(name, column.tobytes()) for name, column in columns.items()]
    sized = [(name, data, len(data) // rows) for name, data in whole]
    return [{name: data[i * size : (i + 1) * size] for name, data, size in sized} for i in range(rows)]
