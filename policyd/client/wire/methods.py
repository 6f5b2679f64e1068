"""The unary methods of the contract, by the names that `Call` uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from policy_api.v1 import experience_pb2, policy_pb2, traffic_pb2, training_pb2
from policyd.client.channel import IDEMPOTENT

_SERVICES = {
    "policies": policy_pb2.DESCRIPTOR.services_by_name["PolicyService"],
    "training": training_pb2.DESCRIPTOR.services_by_name["TrainingService"],
    "experience": experience_pb2.DESCRIPTOR.services_by_name["ExperienceService"],
    "traffic": traffic_pb2.DESCRIPTOR.services_by_name["TrafficService"],
}


class Method(NamedTuple):
    """One method."""

    path: bytes
    parse: Callable[[bytes], Any]  # from a response's bytes to its message
    repeatable: bool  # whether a call may be sent twice


def _method(found: MethodDescriptor) -> Method:
    service = found.containing_service.full_name
    repeatable = found.name in IDEMPOTENT.get(service, ())
    return Method(
        f"/{service}/{found.name}".encode(), GetMessageClass(found.output_type).FromString, repeatable
    )


STREAM_ACT = _method(_SERVICES["policies"].methods_by_name["StreamAct"])
METHODS = {
    (name, method.name): _method(method)
    for name, service in _SERVICES.items()
    for method in service.methods
    if not method.client_streaming and not method.server_streaming
}
