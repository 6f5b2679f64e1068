"""Calls every method of a server with requests that are wrong in many ways, and judges the answers.

A client's mistake never ends with INTERNAL, UNKNOWN or DATA_LOSS, and its error fits into the
headers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from tritonclient.grpc import service_pb2

from policy_api.v1 import policy_pb2, training_pb2
from tests.contract.fuzz import values

SERVICES = [
    policy_pb2.DESCRIPTOR.services_by_name["PolicyService"],
    training_pb2.DESCRIPTOR.services_by_name["TrainingService"],
    service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
]
METHODS: Mapping[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods
}
NEVER = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
MAX_DETAILS = 2048  # largest number of characters in a message
TIMEOUT = 60.0  # seconds; a call that takes as long is a finding
STREAM_SECONDS = 0.2  # for calls that may go on for ever


@dataclass(frozen=True)
class Case:
    """One call, with its serialized messages."""

    method: str
    payloads: tuple[bytes, ...]
    metadata: tuple[tuple[str, str | bytes], ...] = ()


@dataclass
class Findings:
    """How often each method ended with each code, and the cases that are not allowed."""

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[tuple[Case, str]] = field(default_factory=list)


class Fuzzer:
    """Makes cases from a seed and runs them on a channel."""

    def __init__(
        self, channel: grpc.Channel, valid: Sequence[Message], seed: int, token: str | None = None
    ) -> None:
        """`valid` are good requests whose fields are changed. Most calls carry `token`."""
        self._channel = channel
        self._valid = valid
        self._rng = random.Random(seed)
        self._token = token
        self.findings = Findings()

    def run(self, cases: int) -> Findings:
        """Runs `count` cases, with the methods in turn."""
        for _, method in zip(range(cases), self._methods(), strict=False):
            self.ask(self._case(method))
        return self.findings

    def ask(self, case: Case) -> None:
        """Makes one call, counts how it ended, and checks that."""
        code, details = _end_of(self._channel, case)
        self.findings.codes[case.method, code.name] += 1
        removed = "Stream removed" in details and code is not grpc.StatusCode.DEADLINE_EXCEEDED
        if code in NEVER or removed or len(details) > MAX_DETAILS:
            self.findings.wrong.append((case, f"{code.name}: {details[:300]}"))

    def _methods(self) -> Iterator[str]:
        while True:
            yield from METHODS

    def _case(self, method: str) -> Case:
        described = METHODS[method]
        count = self._rng.choice((0, 1, 1, 1, 2, 3)) if self._rng.random() < 0.2 else 1
        return Case(method, tuple(self._payload(described) for _ in range(count)), self._metadata())

    def _payload(self, described: MethodDescriptor) -> bytes:
        """A changed good request, a message of odd values, a message cut short, or noise."""
        rng, kind = self._rng, GetMessageClass(described.input_type)
        if (way := rng.random()) < 0.1:
            return rng.randbytes(rng.choice((1, 2, 7, 64, 5000)))
        good = [message for message in self._valid if isinstance(message, kind)]
        if way < 0.6 and good:
            message: Any = kind()
            message.CopyFrom(rng.choice(good))
            for _ in range(rng.choice((1, 1, 2))):
                self._spoil_somewhere(message)
        else:
            message = kind()
            values.fill(message, rng)
        payload: bytes = message.SerializeToString()
        return payload[: rng.randrange(len(payload) + 1)] if rng.random() < 0.1 else payload

    def _spoil_somewhere(self, message: Message) -> None:
        """Changes one field of the message, or of a message inside it."""
        inside = [
            held
            for described, held in message.ListFields()
            if described.message_type is not None and not described.is_repeated
        ]
        if inside and self._rng.random() < 0.5:
            self._spoil_somewhere(self._rng.choice(inside))
        elif message.DESCRIPTOR.fields:
            values.spoil(message, self._rng.choice(list(message.DESCRIPTOR.fields)), self._rng)

    def _metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        odd: list[tuple[str, str | bytes]] = [
            ("x-request-id", "x" * 500),
            ("traceparent", "00-nonsense"),
            ("authorization", "Bearer \x7e" * 3),
            ("x-noise-bin", bytes(range(256))),
        ]
        chosen = [self._rng.choice(odd)] if self._rng.random() < 0.2 else []
        if self._token is not None and self._rng.random() < 0.9:
            chosen = [pair for pair in chosen if pair[0] != "authorization"]
            chosen.append(("authorization", f"Bearer {self._token}"))
        return tuple(chosen)


def _end_of(channel: grpc.Channel, case: Case) -> tuple[grpc.StatusCode, str]:
    """Calls a method as a stream of bytes in both directions.

    So none, one or several messages can be sent to each method.
    """
    # grpc.aio ends a unary call without a message only at its deadline.
    patient = case.payloads and not METHODS[case.method].server_streaming
    method: Any = channel.stream_stream(case.method)
    call = method(iter(case.payloads), timeout=TIMEOUT if patient else STREAM_SECONDS, metadata=case.metadata)
    try:
        for _ in call:
            pass
    except grpc.RpcError:
        pass
    return call.code(), call.details() or ""
