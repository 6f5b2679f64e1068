"""grpc.health.v1 over both transports: one answer, whichever of them gives it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from policyd.repository import ModelRepository
from policyd_server.services.health import DETAIL, MAX_DETAIL, HealthService
from tests.policyd_server.process import Publish, StartServer

CHECK = "/grpc.health.v1.Health/Check"


def test_each_service_is_told_by_name(publish: Publish, start_server: StartServer) -> None:
    """A policy has a status, too. An unknown name gives NOT_FOUND with the known names."""
    publish()
    server = start_server()
    health = health_pb2_grpc.HealthStub(server.channel)
    for service in ("", "policy_api.v1.PolicyService", "policy_api.v1.PolicyService/cartpole"):
        answer, call = health.Check.with_call(health_pb2.HealthCheckRequest(service=service), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert DETAIL not in dict(call.trailing_metadata())
    with pytest.raises(grpc.RpcError) as raised:
        health.Check(health_pb2.HealthCheckRequest(service="strange"), timeout=60)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert "policy_api.v1.PolicyService/cartpole" in str(raised.value.details())


def test_what_is_wrong_goes_out_beside_the_answer(
    publish: Publish, start_server: StartServer, repository: ModelRepository
) -> None:
    """At most 1,024 characters go out."""
    publish()
    for number in range(40):
        (repository.root / "models" / f"ghost-{number}").symlink_to("/nowhere")
    server = start_server()
    health = health_pb2_grpc.HealthStub(server.channel)
    answer, call = health.Check.with_call(health_pb2.HealthCheckRequest(), timeout=60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert len(str(dict(call.trailing_metadata())[DETAIL])) == MAX_DETAIL


def test_what_goes_out_is_printable() -> None:
    """Metadata may contain only printable text."""
    health = HealthService()
    health.detail = lambda: "\x1b[31m\u00e9\n~ "
    assert health.trailers() == ((DETAIL, "?[31m??~ "),)


def test_bytes_that_do_not_parse_are_the_clients_mistake(start_server: StartServer) -> None:
    """Bytes that cannot be parsed give INVALID_ARGUMENT, and the next call succeeds."""
    server = start_server()
    check: Any = server.channel.unary_unary(CHECK)
    with pytest.raises(grpc.RpcError) as raised:
        check(b"\xff\xff", timeout=60)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert health_pb2.HealthCheckResponse.FromString(check(b"", timeout=60)).status == 1
