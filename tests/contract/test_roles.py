"""Every call of the contract with every kind of credential; and where a server may listen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from policy_api.v1 import policy_pb2, traffic_pb2, training_pb2
from policyd.repository import ModelRepository
from policyd.runtime.tls import channel_credentials
from tests.conftest import Authority
from tests.contract.conftest import ServerProcess
from tests.policyd_server import artifacts
from tests.waiting import until

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
ROLES = ("act", "train", "admin")
ACT = "/policy_api.v1.PolicyService/Act"

# Method -> the role that it needs; empty: none.
METHODS = {
    "/policy_api.v1.PolicyService/Act": "act",
    "/policy_api.v1.PolicyService/StreamAct": "act",
    "/policy_api.v1.PolicyService/GetPolicy": "act",
    "/policy_api.v1.PolicyService/ListPolicies": "act",
    "/policy_api.v1.PolicyService/ExportVersion": "train",
    "/policy_api.v1.PolicyService/ImportVersion": "admin",
    "/policy_api.v1.PolicyService/GetServerInfo": "act",
    "/policy_api.v1.PolicyService/SetAlias": "admin",
    "/policy_api.v1.PolicyService/RollbackAlias": "admin",
    "/policy_api.v1.TrainingService/CreateTrainingJob": "train",
    "/policy_api.v1.TrainingService/GetTrainingJob": "train",
    "/policy_api.v1.TrainingService/ListTrainingJobs": "train",
    "/policy_api.v1.TrainingService/WatchTrainingJob": "train",
    "/policy_api.v1.TrainingService/CancelTrainingJob": "train",
    "/policy_api.v1.TrainingService/ReadTrainingJobLog": "train",
    "/policy_api.v1.TrainingService/CheckTrainingSpec": "train",
    "/policy_api.v1.TrafficService/SetTraffic": "admin",
    "/policy_api.v1.TrafficService/GetTraffic": "act",
    "/policy_api.v1.TrafficService/SetShadow": "admin",
    "/policy_api.v1.TrafficService/CompareVersions": "act",
    "/policy_api.v1.TrafficService/StartCanary": "admin",
    "/policy_api.v1.TrafficService/CancelCanary": "admin",
    "/policy_api.v1.TrafficService/EvaluateVersion": "train",
    "/inference.GRPCInferenceService/ServerLive": "act",
    "/inference.GRPCInferenceService/ModelMetadata": "act",
    "/inference.GRPCInferenceService/ModelInfer": "act",
    "/inference.GRPCInferenceService/RepositoryModelLoad": "admin",
    "/inference.GRPCInferenceService/RepositoryModelUnload": "admin",
    "/grpc.health.v1.Health/Check": "",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "",
}


def token(role: str) -> str:
    return f"{role}-token"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one policy, and a callers' file.

    The file has a token and a certificate for each role.
    """
    folder = tmp_path_factory.mktemp("roles")
    described = artifacts.metadata("cartpole")
    repository = ModelRepository(folder / "repository")
    repository.publish("cartpole", {"model.onnx": artifacts.model(described, seed=0)}, metadata=described)
    repository.set_alias("cartpole", "champion", 1, actor="test", reason="test")
    lines = [
        f"  - {{name: the-{role}, roles: [{role}], certificate: {role}-certificate,"
        f" token_sha256: {hashlib.sha256(token(role).encode()).hexdigest()}}}\n"
        for role in ROLES
    ]
    (folder / "callers.yaml").write_text("callers:\n" + "".join(lines))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    """A server that knows callers by token."""
    (folder / "plain").mkdir()
    started = ServerProcess(
        folder / "plain",
        folder / "repository",
        "--callers",
        str(folder / "callers.yaml"),
        "--log-format",
        "json",
    )
    yield started
    started.stop()


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    """The authority that both sides trust."""
    return Authority(folder)


@pytest.fixture(scope="module")
def tls_server(folder: Path, authority: Authority) -> Iterator[ServerProcess]:
    """A server that demands a certificate."""
    (folder / "tls").mkdir()
    files = authority.issue("server")
    flags = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    flags += ["--tls-client-ca", str(authority.certificate), "--callers", str(folder / "callers.yaml")]
    started = ServerProcess(folder / "tls", folder / "repository", *flags)
    yield started
    started.stop()


def end_of(channel: Any, method: str, bearer: str | None = None) -> grpc.StatusCode:
    """How a call with an empty message ends. One response of a stream is enough."""
    metadata = () if bearer is None else (("authorization", f"Bearer {bearer}"),)
    try:
        if method.endswith(("StreamAct", "ServerReflectionInfo")):
            next(iter(channel.stream_stream(method)(iter([b""]), metadata=metadata, timeout=60)), None)
        elif method.endswith("ImportVersion"):
            channel.stream_unary(method)(iter([b""]), metadata=metadata, timeout=60)
        elif method.endswith(("WatchTrainingJob", "ReadTrainingJobLog", "ExportVersion")):
            next(iter(channel.unary_stream(method)(b"", metadata=metadata, timeout=60)), None)
        else:
            channel.unary_unary(method)(b"", metadata=metadata, timeout=60)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def test_the_table_names_every_method_of_the_contract() -> None:
    """A new method needs a role here, and one in policy_api.authorization."""
    services = [
        policy_pb2.DESCRIPTOR.services_by_name["PolicyService"],
        training_pb2.DESCRIPTOR.services_by_name["TrainingService"],
        traffic_pb2.DESCRIPTOR.services_by_name["TrafficService"],
    ]
    wanted = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert {name for name in METHODS if name.startswith("/policy_api.")} == wanted


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("credential", ["none", "wrong", *ROLES])
def test_tokens(server: ServerProcess, method: str, credential: str) -> None:
    """Without a valid token: UNAUTHENTICATED. Without the role: PERMISSION_DENIED.

    With both the call goes through.
    """
    bearer = {"none": None, "wrong": "wrong-token"}.get(credential, token(credential))
    code = end_of(server.channel, method, bearer)
    needed = METHODS[method]
    if not needed or credential == needed:
        assert code not in (UNAUTHENTICATED, DENIED)
    else:
        assert code is (DENIED if credential in ROLES else UNAUTHENTICATED)


def test_each_call_of_a_connection_shows_its_own_token(server: ServerProcess) -> None:
    """What was admitted a moment ago says nothing about another token, nor about none."""
    good, others = token("act"), ("aCt-token", "act-token2", "act-toke", None)
    for other in others:
        assert end_of(server.channel, ACT, good) not in (UNAUTHENTICATED, DENIED)
        assert end_of(server.channel, ACT, other) is UNAUTHENTICATED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("credential", ROLES)
def test_certificates(tls_server: ServerProcess, authority: Authority, credential: str, method: str) -> None:
    """A client certificate gives the roles of the caller with its common name."""
    mine = authority.issue(f"{credential}-certificate")
    address = tls_server.address.replace("127.0.0.1", "localhost")
    with grpc.secure_channel(address, channel_credentials(authority.certificate, mine)) as channel:
        code = end_of(channel, method)
    if METHODS[method] in ("", credential):
        assert code not in (UNAUTHENTICATED, DENIED, grpc.StatusCode.DEADLINE_EXCEEDED)
    else:
        assert code is DENIED


@pytest.mark.parametrize("method", METHODS)
def test_an_expired_certificate_gets_nowhere(
    tls_server: ServerProcess, authority: Authority, method: str
) -> None:
    """The handshake fails for every method, even with a good token."""
    mine = authority.issue("admin-certificate", expired=True)
    address = tls_server.address.replace("127.0.0.1", "localhost")
    with grpc.secure_channel(address, channel_credentials(authority.certificate, mine)) as channel:
        assert end_of(channel, method, token("admin")) is grpc.StatusCode.UNAVAILABLE


def test_the_history_and_the_audit_log_know_who_promoted(server: ServerProcess) -> None:
    """The history has the authenticated name instead of the request's. The log has no token."""
    metadata = (("authorization", f"Bearer {token('admin')}"),)
    request = policy_pb2.SetAliasRequest(policy="cartpole", alias="spare", version=1, actor="someone else")
    answer = server.policy.SetAlias(request, metadata=metadata)
    assert [change.actor for change in answer.alias.history] == ["the-admin"]
    await_record(server, '"caller": "the-admin"', '"code": "OK"')
    refused = policy_pb2.SetAliasRequest(policy="cartpole", alias="spare", version=99)
    with pytest.raises(grpc.RpcError):
        server.policy.SetAlias(refused, metadata=metadata)
    await_record(server, '"caller": "the-admin"', '"code": "NOT_FOUND"')
    assert not any(token(role) in server.log for role in ROLES)


def await_record(server: ServerProcess, *parts: str) -> None:
    """Waits for a record of the audit log, which is written after the client has its response."""

    def is_there() -> bool:
        lines = [line for line in server.log.splitlines() if '"policyd.audit"' in line]
        return any(all(part in line for part in parts) for line in lines)

    until(is_there, lambda: f"no record with {parts}: {server.log}")


@pytest.mark.parametrize("flags", [[], ["--callers", "callers.yaml"]])
def test_a_server_refuses_to_listen_beyond_loopback_without_tls(
    folder: Path, tmp_path: Path, flags: list[str]
) -> None:
    """Tokens without TLS could be read on the network, so --insecure must be set for that."""
    flags = [str(folder / flag) if flag.endswith(".yaml") else flag for flag in flags]
    with pytest.raises(RuntimeError, match=r"refusing to listen on 0[.]0[.]0[.]0:0"):
        ServerProcess(tmp_path, folder / "repository", *flags, "--listen", "0.0.0.0:0").stop()


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--tls-cert", "x.crt"], "tls_cert and tls_key go together"),
        (["--tls-cert", "x.crt", "--tls-key", "x.key"], "No such file"),
        (["--callers", "x.yaml"], "x.yaml"),
        (["--trainer-cert", "x.crt", "--trainer-key", "x.key"], "trainer_cert needs trainer_ca"),
    ],
)
def test_settings_that_protect_nothing_end_the_start(
    folder: Path, tmp_path: Path, flags: list[str], fault: str
) -> None:
    """A wrong path in the settings must not start a server without protection."""
    with pytest.raises(RuntimeError, match=fault):
        ServerProcess(tmp_path, folder / "repository", *flags).stop()
