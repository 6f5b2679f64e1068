"""One raw observation from request to answer: the commonest request, without ticket, queue and arrays.

The same answer, bit for bit, as the way through the batcher gives; whatever is not plain goes that way.
"""

from __future__ import annotations

from policy_api.tensors import PROBS
from policy_api.v1.policy_pb2 import ActRequest
from server import sampling
from server.acting.decode import draw_seed
from server.acting.encode import ACTIONS, raw_answer
from server.models.version import LoadedVersion


def answer(request: ActRequest, model: LoadedVersion) -> bytes | None:
    """The serialised ActResponse. None: the request is not of this kind, or something is wrong with it."""
    one = model.one_row
    if one is None or not _is_plain(request, model) or not one.infer(request.observations.raw):
        return None
    seed = request.seed if request.HasField("seed") else draw_seed()
    action, log_prob = sampling.sample_one(one.probs, seed, request.first_row)
    columns = {
        ACTIONS: action.to_bytes(8, "little"),
        PROBS: one.probs.tobytes(),
        "log_probs": log_prob.tobytes(),
    }
    if one.values is not None:
        columns["values"] = one.values.tobytes()
    return raw_answer(model, 1, seed, columns)


def _is_plain(request: ActRequest, model: LoadedVersion) -> bool:
    """One observation in raw bytes, sampled from the probabilities as the graph gives them."""
    observations = request.observations
    return (
        len(observations.raw) == model.observation_bytes
        and not observations.values
        and not request.typed_observations
        and not request.deterministic
        and not request.HasField("action_mask")
        and not request.HasField("temperature")
    )
