"""The server as a process: what it imports, how it starts, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.policyd_server.process import ROOT, Publish, StartServer

FORBIDDEN = ("torch", "gymnasium", "policyd_trainer", "onnx", "matplotlib", "sqlalchemy")


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and log of a server that ends by itself."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
    done = subprocess.run(
        [sys.executable, "-m", "policyd_server", *arguments],
        env=environment, cwd=ROOT, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr.decode()


def test_the_server_imports_no_torch() -> None:
    """A new process with everything loaded has none of the trainer's modules."""
    code = "import policyd_server.__main__, policyd_server.app, sys; print('\\n'.join(sys.modules))"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
    listed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    modules = {name.partition(".")[0] for name in listed.stdout.decode().split()}
    assert not modules & set(FORBIDDEN)
    assert "onnxruntime" in modules


def test_health_and_reflection(publish: Publish, start_server: StartServer) -> None:
    """Health has a status per service. Reflection lists the services and their messages."""
    publish()
    server = start_server("--trainer", "127.0.0.1:1")
    health = health_pb2_grpc.HealthStub(server.channel)
    wanted = {"": 1, "policy_api.v1.PolicyService": 1, "policy_api.v1.TrainingService": 2}
    for service, serving in wanted.items():
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
        assert answer.status == serving, service
    with pytest.raises(grpc.RpcError) as raised:
        health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=60)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    reflection = ProtoReflectionDescriptorDatabase(server.channel)
    assert {"policy_api.v1.PolicyService", "policy_api.v1.TrainingService", "grpc.health.v1.Health"} <= set(
        reflection.get_services()
    )
    file = descriptor_pb2.FileDescriptorProto()
    file.CopyFrom(reflection.FindFileContainingSymbol("policy_api.v1.TrainingService"))
    assert file.package == "policy_api.v1"


def test_sigterm_drains(publish: Publish, start_server: StartServer) -> None:
    """Watchers of health get NOT_SERVING and their calls end. The exit code is 0."""
    publish()
    server = start_server()
    watched = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    server.process.send_signal(signal.SIGTERM)
    assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert list(watched) == []
    assert server.process.wait(60) == 0


WRONG_SETTINGS = [("--poll-interval", "-1"), ("--max-batch-rows", "0"), ("--listen", "nowhere")]


@pytest.mark.parametrize("flags", WRONG_SETTINGS)
def test_wrong_settings_are_named(flags: tuple[str, str], tmp_path: Path) -> None:
    """A setting out of range ends the start, and the error names it."""
    code, text = run("--repository", str(tmp_path), *flags)
    assert code == 2
    assert flags[0].removeprefix("--").replace("-", "_") in text
    assert "Traceback" not in text
