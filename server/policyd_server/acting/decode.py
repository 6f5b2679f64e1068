"""Validates an ActRequest and makes a ticket of it.

Each error names the field, what came and what was expected.
"""

from __future__ import annotations

import math
import random
from typing import TypeVar

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest, BoolArray, FloatArray, StreamActRequest
from policyd import spaces
from policyd.counted import counted
from policyd.errors import Exhausted, InvalidArgument
from policyd.runtime import decoding
from policyd_server.acting.ticket import Ticket
from policyd_server.models.version import LoadedVersion
from policyd_server.sampling import Bool

# Draws seeds for requests without one. They need not be secret, only different. All have varints of
# the same length.
_seeds = random.Random(random.SystemRandom().getrandbits(256))  # noqa: S311 -- sampling, not cryptography


Request = TypeVar("Request", ActRequest, StreamActRequest)


def draw_seed() -> int:
    """Returns a seed for a request that names none."""
    return 1 << 62 | _seeds.getrandbits(62)


def parse(payload: bytes, kind: type[Request]) -> Request:
    """Parses a request. InvalidArgument: the bytes do not parse."""
    message: Request = decoding.parsed(kind.FromString, payload)
    return message


def ticket_for(request: ActRequest, model: LoadedVersion, max_rows: int) -> Ticket:
    """Returns the ticket of a request.

    Raises InvalidArgument if a field is wrong, and Exhausted for more than `max_rows` rows.
    """
    return checked_ticket(
        model,
        _observation_bytes(request, model),
        max_rows=max_rows,
        mask=_mask_bytes(request.action_mask) if request.HasField("action_mask") else None,
        seed=request.seed if request.HasField("seed") else None,
        first_row=request.first_row,
        deterministic=request.deterministic,
        temperature=request.temperature if request.HasField("temperature") else 1.0,
    )


def checked_ticket(
    model: LoadedVersion,
    observations: bytes,  # float32 [B, *shape]
    *,
    max_rows: int,
    mask: bytes | None = None,  # one byte per element, [B, the head's mask_width]
    seed: int | None = None,
    first_row: int = 0,
    deterministic: bool = False,
    temperature: float = 1.0,
) -> Ticket:
    """Returns the ticket for raw observations of any protocol. Raises as `ticket_for`.

    It does not look for NaN: the inference call does that.
    """
    rows, rest = divmod(len(observations), model.observation_bytes)
    if rest or not rows:
        raise _wrong_size(len(observations), model)
    if rows > max_rows:
        message = f"observations: got {rows} rows, this server takes at most {max_rows} per request"
        raise Exhausted(message, retry_after=math.inf, reason="BATCH_TOO_LARGE")
    if temperature != 1.0:
        _check_temperature(temperature, model)
    return Ticket(
        model,
        observations,
        rows,
        seed=0 if deterministic else draw_seed() if seed is None else seed,
        first_row=first_row,
        deterministic=deterministic,
        temperature=temperature,
        mask=None if mask is None else _checked_mask(mask, rows, model),
    )


def _wrong_size(size: int, model: LoadedVersion) -> InvalidArgument:
    """Returns the error for observations of `size` bytes. It counts numbers and rows."""
    elements = model.observation_bytes // 4
    shape = f" of shape [{_dims(model)}]" if len(model.observation_shape) > 1 else ""
    numbers, rest = divmod(size, 4)
    wanted = f"a multiple of {elements} (one row of {model.title} has {elements}{shape})"
    if rest:
        return InvalidArgument.of(
            "observations", got=counted(size, "bytes"), wanted=f"4 bytes a number, and {wanted}"
        )
    got = f"{numbers} number{'' if numbers == 1 else 's'}" if numbers else "no numbers"
    return InvalidArgument.of("observations", got=got, wanted=wanted)


def _observation_bytes(request: ActRequest, model: LoadedVersion) -> bytes:
    if not request.typed_observations:
        return _float_bytes(request.observations)
    if request.HasField("observations"):
        wanted = "one of observations and typed_observations"
        raise InvalidArgument.of("typed_observations", got="both", wanted=wanted)
    return spaces.from_typed(model.observation_parts, request.typed_observations).tobytes()


def _check_temperature(temperature: float, model: LoadedVersion) -> None:
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InvalidArgument.of("temperature", got=temperature, wanted="a finite number above 0")
    if not model.head.mask_width:
        wanted = "none: this policy's actions are continuous"
        raise InvalidArgument.of("temperature", got=temperature, wanted=wanted)


def _float_bytes(array: FloatArray) -> bytes:
    raw = array.raw
    if raw and not array.values:
        return raw
    if raw:
        raise InvalidArgument.of("observations", got="both raw and values", wanted="exactly one of them")
    return np.array(array.values, np.float32).tobytes()


def _mask_bytes(array: BoolArray) -> bytes:
    if array.raw and array.values:
        raise InvalidArgument.of("action_mask", got="both raw and values", wanted="exactly one of them")
    return array.raw or bytes(array.values)


def _checked_mask(mask: bytes, rows: int, model: LoadedVersion) -> Bool:
    n = model.head.mask_width
    if not n:
        raise InvalidArgument.of(
            "action_mask", got="a mask", wanted="none: this policy's actions are continuous"
        )
    if len(mask) != rows * n:
        wanted = f"{rows * n}, {n} for each row"
        raise InvalidArgument.of("action_mask", got=counted(len(mask), "elements"), wanted=wanted)
    allowed: Bool = np.frombuffer(mask, np.uint8).reshape(rows, n) != 0
    model.head.check_mask(allowed)
    return allowed


def _dims(model: LoadedVersion) -> str:
    return ", ".join(map(str, model.observation_shape))
