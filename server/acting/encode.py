"""Ticket to ActResponse, in the kind of arrays that came."""

from __future__ import annotations

import numpy as np

from policy_api.v1.policy_pb2 import ActResponse, FloatArray, IntArray
from server.acting.ticket import Decision, Ticket


def response_for(ticket: Ticket, decision: Decision, *, raw: bool) -> ActResponse:
    """The answer to a request whose observations came as raw bytes, or else as numbers."""
    model = ticket.model
    floats, ints = (_raw_floats, _raw_ints) if raw else (_float_values, _int_values)
    return ActResponse(
        policy=model.policy,
        version=model.version,
        digest=model.digest,
        batch_size=ticket.rows,
        seed=ticket.seed,
        actions=ints(decision.actions),
        action_probs=floats(decision.action_probs),
        log_probs=floats(decision.log_probs),
        values=None if decision.values is None else floats(decision.values),
    )


def _raw_floats(data: bytes) -> FloatArray:
    return FloatArray(raw=data)


def _raw_ints(data: bytes) -> IntArray:
    return IntArray(raw=data)


def _float_values(data: bytes) -> FloatArray:
    return FloatArray(values=np.frombuffer(data, np.float32).tolist())


def _int_values(data: bytes) -> IntArray:
    return IntArray(values=np.frombuffer(data, np.int64).tolist())
