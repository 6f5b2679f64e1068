"""Ticket to ActResponse, in the kind of arrays that came."""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray, IntArray
from server.acting.ticket import Decision, Ticket

ACTIONS = "actions"  # the only field of integers


def wants_raw(request: ActRequest) -> bool:
    """Whether the observations came as bytes, so that the answer's arrays go out as bytes."""
    return bool(request.observations.raw or request.typed_observations)


def response_for(ticket: Ticket, decision: Decision, *, raw: bool) -> ActResponse:
    """The answer to a request whose observations came as raw bytes, or else as numbers."""
    model = ticket.model
    floats, ints = (_raw_floats, _raw_ints) if raw else (_float_values, _int_values)
    columns = decision.columns
    arrays: dict[str, Any] = {name: floats(data) for name, data in columns.items() if name != ACTIONS}
    if ACTIONS in columns:
        arrays[ACTIONS] = ints(columns[ACTIONS])
    return ActResponse(
        policy=model.policy,
        version=model.version,
        digest=model.digest,
        batch_size=ticket.rows,
        seed=ticket.seed,
        **arrays,
    )


def _raw_floats(data: bytes) -> FloatArray:
    return FloatArray(raw=data)


def _raw_ints(data: bytes) -> IntArray:
    return IntArray(raw=data)


def _float_values(data: bytes) -> FloatArray:
    return FloatArray(values=np.frombuffer(data, np.float32).tolist())


def _int_values(data: bytes) -> IntArray:
    return IntArray(values=np.frombuffer(data, np.int64).tolist())
