"""From a named request and its answer to the records of its decisions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from policy_api.v1.experience_pb2 import DecisionRecord, RecordedStep
from policy_api.v1.policy_pb2 import ActRequest, Decision
from policyd.errors import FieldViolation, InvalidArgument
from policyd.sampling import MASK64, mix64
from policyd_server.acting.ticket import Ticket

#: The longest value of each field of a Decision.
MAX_LENGTH = {"episode_id": 64, "agent_id": 64, "subject": 128}
MAX_VIOLATIONS = 100
FNV_BEGIN, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def name_seed(ticket: Ticket, request: ActRequest) -> None:
    """Sets the seed of a ticket whose request names decisions and no seed.

    It follows from the first name, so a retry draws the same actions. The names were checked,
    because computing a seed from a long one takes seconds.
    """
    if not request.HasField("seed"):
        ticket.seed = seed_of(ticket.model.policy, request.decisions[0])


def seed_of(policy: str, decision: Decision) -> int:
    """Returns the seed for a name: FNV-1a, then mixed, in the range of seeds that the server draws.

    A zero byte follows each text and the step. The step has 8 bytes, little-endian.
    """
    step = decision.step.to_bytes(8, "little", signed=True)
    texts = (policy.encode(), decision.episode_id.encode(), decision.agent_id.encode(), step)
    found = FNV_BEGIN
    for byte in b"".join(text + b"\0" for text in texts):
        found = (found ^ byte) * FNV_PRIME & MASK64
    return 1 << 62 | mix64(found) >> 2


def check_decisions(request: ActRequest, rows: int) -> None:
    """Checks the names of a request: one per row, well-formed, and only for sampled actions.

    Raises InvalidArgument.
    """
    if len(request.decisions) != rows:
        raise InvalidArgument.of("decisions", got=len(request.decisions), wanted=f"{rows}, one for each row")
    if request.deterministic:
        wanted = "false with `decisions`: deterministic actions teach nothing"
        raise InvalidArgument.of("deterministic", got="true", wanted=wanted)
    violations = [
        FieldViolation(f"decisions[{index}].{field}", description)
        for index, decision in enumerate(request.decisions)
        for field, description in _wrong(decision)
    ][:MAX_VIOLATIONS]
    if violations:
        first = violations[0]
        raise InvalidArgument(f"{first.field}: {first.description}", violations=tuple(violations))


def _wrong(decision: Decision) -> list[tuple[str, str]]:
    found = []
    if not decision.episode_id:
        found.append(("episode_id", "got none, expected 1 to 64 characters"))
    for field, most in MAX_LENGTH.items():
        length = len(getattr(decision, field))
        if length > most:
            found.append((field, f"got {length} characters, expected at most {most}"))
    if decision.step < 0:
        found.append(("step", f"got {decision.step}, expected 0 or more"))
    return found


def records(
    decisions: Sequence[Decision], ticket: Ticket, columns: Mapping[str, bytes], caller: str
) -> list[bytes]:
    """Returns one serialised DecisionRecord per row; `columns`: the response's arrays by field."""
    model, rows = ticket.model, ticket.rows
    observations = _cut(ticket.observations, rows)
    actions = _cut(columns.get("gaussian_samples") or columns["actions"], rows)
    masks = _cut(b"" if ticket.mask is None else ticket.mask.tobytes(), rows)
    log_probs = np.frombuffer(columns["log_probs"], "<f4")  # [B]
    values = np.frombuffer(columns.get("values", b""), "<f4")  # [B], or empty
    now = Timestamp()
    now.FromNanoseconds(time.time_ns())
    found = []
    for row, decision in enumerate(decisions):
        step = RecordedStep(
            step=decision.step,
            version=model.version,
            log_prob=log_probs[row],
            seed=ticket.seed,
            row=(ticket.first_row + row) % 2**64,
            decide_time=now,
            observation=observations[row],
            action=actions[row],
            action_mask=masks[row],
        )
        if values.size:
            step.value = values[row]
        record = DecisionRecord(
            policy=model.policy,
            episode_id=decision.episode_id,
            agent_id=decision.agent_id,
            subject=decision.subject,
            caller=caller,
            step=step,
        )
        found.append(record.SerializeToString())
    return found


def _cut(data: bytes, rows: int) -> list[bytes]:
    """Splits `data` into the bytes of each row."""
    size = len(data) // rows
    return [data[row * size : (row + 1) * size] for row in range(rows)]
