"""The audit log: who trained, promoted and rolled back, and how each call ended.

Only calls that authorization let through are recorded here, and what a service decided itself;
`guard` logs refusals, at a bounded rate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from policy_api.v1 import experience_pb2, policy_pb2, traffic_pb2, training_pb2
from policyd.quoting import shown
from policyd.runtime.guard import current_caller
from policyd.runtime.interceptor import Interceptor
from policyd.runtime.log import AUDIT, request_id
from policyd.runtime.origin import Origin

_POLICY = "/policy_api.v1.PolicyService/"
_TRAFFIC = "/policy_api.v1.TrafficService/"
_EXPERIENCE = "/policy_api.v1.ExperienceService/"
_TRAINING = "/policy_api.v1.TrainingService/"

MAX_FIELD = 256  # of one field; longer texts are cut

# For each method: its request and response message, and the fields of each that are recorded. A dot
# in a name leads to a field of a nested message.
RECORDED: Mapping[str, tuple[type[Message], type[Message], tuple[str, ...], tuple[str, ...]]] = {
    _POLICY + "SetAlias": (
        policy_pb2.SetAliasRequest,
        policy_pb2.SetAliasResponse,
        ("policy", "alias", "version", "actor", "reason"),
        ("generation",),
    ),
    _POLICY + "RollbackAlias": (
        policy_pb2.RollbackAliasRequest,
        policy_pb2.RollbackAliasResponse,
        ("policy", "alias", "actor", "reason"),
        ("generation", "alias.version"),
    ),
    _EXPERIENCE + "SetExperienceConfig": (
        experience_pb2.SetExperienceConfigRequest,
        experience_pb2.SetExperienceConfigResponse,
        ("policy", "config.mode", "actor", "reason"),
        ("generation",),
    ),
    _EXPERIENCE + "DeleteEpisodes": (
        experience_pb2.DeleteEpisodesRequest,
        experience_pb2.DeleteEpisodesResponse,
        ("policy", "subject", "reason"),
        ("episodes",),
    ),
    _TRAFFIC + "SetTraffic": (
        traffic_pb2.SetTrafficRequest,
        traffic_pb2.SetTrafficResponse,
        ("policy", "alias", "actor", "reason"),
        ("traffic.generation",),
    ),
    _TRAFFIC + "SetShadow": (
        traffic_pb2.SetShadowRequest,
        traffic_pb2.SetShadowResponse,
        ("policy", "alias", "version", "share", "actor", "reason"),
        ("traffic.generation",),
    ),
    _TRAFFIC + "StartCanary": (
        traffic_pb2.StartCanaryRequest,
        traffic_pb2.StartCanaryResponse,
        ("policy", "alias", "version", "actor", "reason"),
        ("traffic.generation", "traffic.canary.share"),
    ),
    _TRAFFIC + "CancelCanary": (
        traffic_pb2.CancelCanaryRequest,
        traffic_pb2.CancelCanaryResponse,
        ("policy", "actor", "reason"),
        ("traffic.generation", "traffic.canary.version"),
    ),
    _EXPERIENCE + "ExportEpisodes": (
        experience_pb2.ExportEpisodesRequest,
        experience_pb2.ExportEpisodesResponse,
        ("policy", "format", "version"),
        (),  # the response is a stream
    ),
    _POLICY + "ImportVersion": (
        policy_pb2.ImportVersionRequest,
        policy_pb2.ImportVersionResponse,
        (),  # the response is a stream
        ("version.metadata.policy", "version.version", "version.digest"),
    ),
    _TRAINING + "CreateTrainingJob": (
        training_pb2.CreateTrainingJobRequest,
        training_pb2.CreateTrainingJobResponse,
        ("spec.policy", "spec.env_id", "spec.algorithm", "spec.promotion.promote", "reason"),
        ("job.job_id",),
    ),
    _TRAINING + "CancelTrainingJob": (
        training_pb2.CancelTrainingJobRequest,
        training_pb2.CancelTrainingJobResponse,
        ("job_id", "reason"),
        (),
    ),
}


class Audit(Interceptor):
    """Records the calls that change something.

    It must run inside authorization, so that refused calls are not recorded. Other calls cost
    nothing.
    """

    def __init__(self, origin: Origin | None = None) -> None:
        super().__init__()
        self._origin = origin or Origin()

    def covers(self, method: str) -> bool:
        """Whether the method is in RECORDED."""
        return method in RECORDED

    @asynccontextmanager
    async def around(self, method: str, request: Any, context: Any) -> AsyncIterator[None]:
        """Records a call when it has ended. The response may be a stream."""
        request_type, _, asked, _ = RECORDED[method]
        fields = {
            "method": method,
            "peer": self._origin.peer(context),
            **_fields(request, request_type, asked),
        }
        try:
            yield
        except BaseException:
            _record(fields, _code(context))
            raise
        _record(fields, "OK")

    def _unary(self, method: str, behaviour: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        request_type, response_type, asked, answered = RECORDED[method]

        async def call(request: Any, context: Any) -> Any:
            peer = self._origin.peer(context)
            fields = {"method": method, "peer": peer, **_fields(request, request_type, asked)}
            try:
                response = await behaviour(request, context)
            except BaseException:
                _record(fields, _code(context))
                raise
            _record({**fields, **_fields(response, response_type, answered)}, "OK")
            return response

        return call


def decided(actor: str, **fields: Any) -> None:
    """Records a decision of a service itself, such as the end of a canary."""
    _write({"actor": actor, **fields})


def _record(fields: dict[str, Any], code: str) -> None:
    caller = current_caller()
    who = {"caller": caller.name if caller else "", "request_id": request_id.get()}
    _write({**who, "code": code, **fields})


def _write(fields: dict[str, Any]) -> None:
    fields = {name: _bounded(value) for name, value in fields.items()}
    said = " ".join(f"{name}={value}" for name, value in fields.items() if value not in ("", None))
    AUDIT.info("%s", said, extra={"fields": fields})


def _bounded(value: Any) -> Any:
    """Returns a client's text as one line of bounded length."""
    return shown(value, MAX_FIELD) if isinstance(value, str) else value


def _fields(message: Any, kind: type[Message], names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the named fields of a message.

    Forwarded messages are bytes. If they cannot be parsed, no fields are returned.
    """
    if isinstance(message, bytes):
        try:
            message = kind.FromString(message)
        except (DecodeError, ValueError):
            return {}
    return {name: _inside(message, name) for name in names}


def _inside(message: Any, path: str) -> Any:
    for name in path.split("."):
        message = getattr(message, name)
    return message


def _code(context: Any) -> str:
    """Returns the status code of a call that raised. A cancelled call has no code yet."""
    code = context.code()
    if isinstance(code, int):
        code = next((known for known in grpc.StatusCode if known.value[0] == code), None)
    return code.name if code not in (None, grpc.StatusCode.OK) else "CANCELLED"
