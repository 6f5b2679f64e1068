"""The audit log: who trained, promoted and rolled back, and how it ended. Refused calls too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import grpc
from google.protobuf.message import Message

from policy_api.guard import current_caller
from policy_api.interceptor import Around
from policy_api.log import AUDIT, request_id
from policy_api.v1 import policy_pb2, training_pb2

_POLICY = "/policy_api.v1.PolicyService/"
_TRAINING = "/policy_api.v1.TrainingService/"

# Method: the messages, and the fields (dots go inside) of the request and of the answer that are recorded.
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
    _TRAINING + "CreateTrainingJob": (
        training_pb2.CreateTrainingJobRequest,
        training_pb2.CreateTrainingJobResponse,
        ("spec.policy", "spec.env_id", "spec.algorithm", "spec.promotion.promote"),
        ("job.job_id",),
    ),
    _TRAINING + "CancelTrainingJob": (
        training_pb2.CancelTrainingJobRequest,
        training_pb2.CancelTrainingJobResponse,
        ("job_id",),
        (),
    ),
}


class Audit(Around):
    """Records the calls that change something; all others pay nothing."""

    def covers(self, method: str) -> bool:
        """Those of RECORDED."""
        return method in RECORDED

    def around(self, method: str, request: Any, context: Any) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """Nothing: the record needs the answer."""
        return nullcontext()

    def _unary(self, method: str, behaviour: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        request_type, response_type, asked, answered = RECORDED[method]

        async def call(request: Any, context: Any) -> Any:
            fields = {"method": method, "peer": context.peer(), **_fields(request, request_type, asked)}
            try:
                response = await behaviour(request, context)
            except BaseException:
                _record(fields, _code(context))
                raise
            _record({**fields, **_fields(response, response_type, answered)}, "OK")
            return response

        return call


def _record(fields: dict[str, Any], code: str) -> None:
    caller = current_caller()
    who = {"caller": caller.name if caller else "", "request_id": request_id.get()}
    fields = {**who, "code": code, **fields}
    said = " ".join(f"{name}={value}" for name, value in fields.items() if value not in ("", None))
    AUDIT.info("%s", said, extra={"fields": fields})


def _fields(message: Any, kind: type[Message], names: tuple[str, ...]) -> dict[str, Any]:
    """Forwarded messages are bytes; bytes that do not parse have no fields."""
    if isinstance(message, bytes):
        try:
            message = kind.FromString(message)
        except ValueError:
            return {}
    return {name: _inside(message, name) for name in names}


def _inside(message: Any, path: str) -> Any:
    for name in path.split("."):
        message = getattr(message, name)
    return message


def _code(context: Any) -> str:
    """How a call ended that raised; one that was cancelled has no code yet."""
    code = context.code()
    if isinstance(code, int):
        code = next((known for known in grpc.StatusCode if known.value[0] == code), None)
    return code.name if code not in (None, grpc.StatusCode.OK) else "CANCELLED"
