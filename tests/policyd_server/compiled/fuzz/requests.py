"""Odd requests for the compiled modules of a folder: `... requests FOLDER INPUTS SEED`.

Half of the requests are whole ones with a few bytes changed, cut or moved. What a reader tells of
a request is sometimes wrong, too.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, Decision, FloatArray
from policyd_server import compiled

MAX_ROWS, ELEMENTS, ACTIONS, AT_ONCE = 8, 16, 5, 4
RECEIPT = ActResponse(policy="p", version=3, digest="d" * 64).SerializeToString()
ODD_NUMBERS = (-1, 0, 1, 2, 7, 8, 9, 2**31, 2**61, 2**63 - 1)
Asked = tuple[tuple[None, int, int, int], bytes]


def made_rows(rng: np.random.Generator) -> Any:
    """`Rows` of the module in the folder."""
    from policyd_server.compiled.rows import Rows  # noqa: PLC0415  the module built with sanitizers

    observations = np.zeros((MAX_ROWS, ELEMENTS), np.float32)
    probs = rng.dirichlet(np.ones(ACTIONS), MAX_ROWS).astype(np.float32)
    values = rng.normal(size=MAX_ROWS).astype(np.float32)

    def run(rows: int) -> None:
        """Sometimes computes what is not a distribution."""
        probs[:rows] = rng.dirichlet(np.ones(ACTIONS), rows)
        if rng.random() < 0.05:
            probs[rng.integers(rows)] = rng.choice([np.nan, np.inf, 0.0])

    return Rows(observations, probs, values, run, RECEIPT, 7)


def whole(rng: random.Random) -> tuple[ActRequest, int]:
    """A request with `number` rows."""
    rows = rng.randint(1, MAX_ROWS)
    request = ActRequest(policy="p" * rng.randint(0, 3), first_row=rng.choice((0, 1, 2**64 - 1)))
    if rng.random() < 0.7:
        request.seed = rng.getrandbits(64)
    if rng.random() < 0.5:
        request.typed_observations = rng.randbytes(rows * ELEMENTS)
    else:
        numbers = np.frombuffer(rng.randbytes(2 * rows * ELEMENTS), np.int16).astype(np.float32)
        request.observations.CopyFrom(FloatArray(raw=numbers.tobytes()))
    if rng.random() < 0.4:
        for step in range(rows if rng.random() < 0.8 else rng.randint(0, 9)):
            request.decisions.append(
                Decision(
                    episode_id="e" * rng.choice((0, 1, 36, 64, 65)),
                    agent_id="a" * rng.choice((0, 1, 64, 65)),
                    step=rng.choice((step, -1, 2**63 - 1)),
                    subject="s" * rng.choice((0, 1, 128, 129)),
                )
            )
    return request, rows


def changed(rng: random.Random, data: bytes) -> bytes:
    """Changes, removes or repeats a few bytes."""
    mutable = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at, end = rng.randint(0, len(mutable)), rng.randint(0, 12)
        kind = rng.randrange(4)
        if kind == 0 and at < len(mutable):
            mutable[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 1:
            del mutable[at : at + end]
        elif kind == 2:
            mutable[at:at] = rng.randbytes(end)
        else:
            mutable[at:at] = mutable[at : at + end]
    return bytes(mutable)


def asked(rng: random.Random) -> Asked:
    """A request, and the places of its parts, which may be wrong."""
    request, rows = whole(rng)
    payload = request.SerializeToString()
    names = len(ActRequest(policy=request.policy).SerializeToString())
    if request.typed_observations:
        start = payload.index(request.typed_observations)
        numbers = names
    else:
        start = payload.index(request.observations.raw)
        numbers = start + len(request.observations.raw)
    if rng.random() < 0.5:
        payload = changed(rng, payload)
    told = [start, rows, numbers]
    if rng.random() < 0.2:
        told[rng.randrange(3)] = rng.choice(ODD_NUMBERS) + rng.choice((0, 0, len(payload)))
    start, rows, numbers = (max(-(2**63), min(number, 2**63 - 1)) for number in told)
    return (None, start, rows, numbers), payload


def main(folder: str, inputs: int, seed: int) -> None:
    """Sends the requests. A finding of the sanitizers ends the process."""
    compiled.__path__.insert(0, folder)
    from tests.policyd_server.compiled.fuzz.recording import Dealing, Recording  # noqa: PLC0415 -- sanitized

    rng = random.Random(seed)
    rows = made_rows(np.random.default_rng(seed))
    assert sys.modules["policyd_server.compiled.rows"].__file__.startswith(folder)  # type: ignore[union-attr]
    answered = 0
    dealing, recording = Dealing(rng), Recording(rng, changed)

    def record(records: bytes, count: int, _policy: str) -> None:
        recording.take(records, count)

    for _ in range(0, inputs, AT_ONCE):
        several = [asked(rng) for _ in range(AT_ONCE)]
        for (_, start, _, numbers), payload in several:
            dealing.deal(payload, max(start, numbers))
        taken = record if rng.random() < 0.8 else None
        for answer in rows.answers(several, taken, lambda place: b"c" * place):
            if answer is not None:
                answered += 1
                assert ActResponse.FromString(answer).batch_size > 0
    sys.stdout.write(
        f"no finding: {inputs} requests, {answered} answered, {recording.entered} decisions recorded, "
        f"{dealing.keyed} dealt by key\n"
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
