"""TLS, tokens, certificates and roles on the HTTP port: those of gRPC, with the same audit log."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policyd.repository import ModelRepository
from tests.conftest import Authority
from tests.policyd_server.http.conftest import Client, http_url, publish_versions
from tests.policyd_server.process import ServerProcess
from tests.waiting import until

ROLES = ("act", "train", "admin")
# Verb, path -> the role that it needs; empty: none.
NEEDED = {
    ("GET", "/v2/health/live"): "",
    ("GET", "/v2/health/ready"): "",
    ("GET", "/v1/docs"): "",
    ("GET", "/v2"): "act",
    ("GET", "/v1/policies"): "act",
    ("POST", "/v1/policies/cartpole:act"): "act",
    ("POST", "/v2/models/cartpole/infer"): "act",
    ("GET", "/v1/policies/cartpole/versions/1/files/model.onnx"): "train",
    ("POST", "/v1/jobs"): "train",
    ("GET", "/v1/jobs"): "train",
    ("GET", "/v1/jobs/1/events"): "train",
    ("PUT", "/v1/policies/cartpole/aliases/champion"): "admin",
    ("POST", "/v1/policies/cartpole/aliases/champion:rollback"): "admin",
    ("POST", "/v2/repository/models/cartpole/unload"): "admin",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ServerProcess]:
    """A server with mTLS and callers, on every address of loopback."""
    folder = tmp_path_factory.mktemp("guarded")
    publish_versions(ModelRepository(folder / "repository"))
    lines = [
        f"  - {{name: the-{role}, roles: [{role}], certificate: {role}-certificate,"
        f" token_sha256: {hashlib.sha256(f'{role}-token'.encode()).hexdigest()}}}\n"
        for role in ROLES
    ]
    (folder / "callers.yaml").write_text("callers:\n" + "".join(lines))
    files = authority.issue("server")
    flags = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    flags += ["--tls-client-ca", str(authority.certificate), "--callers", str(folder / "callers.yaml")]
    started = ServerProcess(folder, folder / "repository", "--http", "127.0.0.1:0", *flags)
    yield started
    assert started.stop() == 0
    assert "Traceback" not in started.log


def _client(server: ServerProcess, authority: Authority, certificate: str, token: str = "") -> Client:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    files = authority.issue(certificate)
    context.load_cert_chain(files.certificate, files.key)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Client(http_url(server).replace("127.0.0.1", "localhost"), headers, context)


@pytest.mark.parametrize("way", ["token", "certificate"])
def test_every_role_at_every_path(guarded: ServerProcess, authority: Authority, way: str) -> None:
    """401 without credentials, 403 with another role, and something else with the right role."""
    stranger = _client(guarded, authority, "stranger")
    clients = {
        role: _client(guarded, authority, "stranger", f"{role}-token")
        if way == "token"
        else _client(guarded, authority, f"{role}-certificate")
        for role in ROLES
    }
    for (verb, path), needed in NEEDED.items():
        body: Any = {} if verb != "GET" else None
        assert (stranger.ask(verb, path, body).status == 401) == bool(needed), path
        for role, client in clients.items():
            answer = client.ask(verb, path, body)
            assert (answer.status == 403) == (needed not in ("", role)), (path, role, answer.body)
            assert answer.status != 500


@pytest.mark.parametrize("path", ["/v1/policies/cartpole:act", "/v2/models/cartpole/infer"])
@pytest.mark.parametrize("size", [100_000, 10_000_000])
@pytest.mark.parametrize("role", ["", "act"])
def test_no_large_body_is_read_before_the_caller_is_known(
    guarded: ServerProcess, authority: Authority, path: str, size: int, role: str
) -> None:
    """The answer to the headers alone is 401, or for a known caller the request to go on."""
    client = _client(guarded, authority, "stranger", f"{role}-token" if role else "")
    connection = client.connection()
    connection.putrequest("POST", path)
    for name, value in {**client.headers, "Content-Length": str(size), "Expect": "100-continue"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    head = connection.sock.recv(65536)
    connection.close()
    assert head.startswith(b"HTTP/1.1 100 " if role else b"HTTP/1.1 401 ")


def test_refusals_and_changes_are_in_the_audit_log(guarded: ServerProcess, authority: Authority) -> None:
    """The log has the caller's name and the HTTP client's own address.

    The history has the authenticated name.
    """
    path = "/v1/policies/cartpole/aliases/champion"
    refused = _client(guarded, authority, "stranger", "act-token").ask("PUT", path, {"version": 2})
    assert refused.json["reason"] == "ROLE_MISSING"
    admin = _client(guarded, authority, "admin-certificate")
    told = admin.ask("PUT", path, {"version": 2, "reason": "better", "actor": "somebody else"}).json
    assert told["alias"]["history"][-1]["actor"] == "the-admin"
    [line] = [line for line in guarded.log.splitlines() if "code=OK" in line and "SetAlias" in line]
    assert "caller=the-admin" in line
    assert "peer=ipv4:127.0.0.1:" in line
    assert "reason=better" in line


def test_a_refused_act_is_logged_with_the_clients_address(
    guarded: ServerProcess, authority: Authority
) -> None:
    """Act goes to a front, which does not know the client. The refusal still names it."""
    client = _client(guarded, authority, "stranger")
    client.headers["Authorization"] = "Bearer train-token"
    denied = client.post("/v1/policies/cartpole:act", {"observations": [0] * 4})
    assert denied.status == 403
    lines = [line for line in guarded.log.splitlines() if "refused caller=the-train" in line]
    assert any("method=/policy_api.v1.PolicyService/Act peer=ipv4:127.0.0.1:" in line for line in lines)


def test_wrong_credentials(guarded: ServerProcess, authority: Authority) -> None:
    """401 says how to authenticate, in every case.

    Another scheme, an unknown token and odd characters are tried.
    """
    for value in ("Bearer nope", "Basic abc", "Bearer", "Bearer \xe4\xf6"):
        client = _client(guarded, authority, "act-certificate")
        answer = client.ask("GET", "/v1/policies", headers={"Authorization": value})
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_client_without_a_certificate_gets_no_connection(
    guarded: ServerProcess, authority: Authority
) -> None:
    """If the server demands certificates, the TLS handshake fails."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    client = Client(http_url(guarded).replace("127.0.0.1", "localhost"), {}, context)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.get("/v2/health/live")


def test_a_renewed_certificate_is_used(guarded: ServerProcess, authority: Authority, tmp_path: Path) -> None:
    """New connections get the new certificate within seconds, without a restart."""
    before = _serial(guarded, authority)
    authority.issue("server")
    until(lambda: _serial(guarded, authority) != before, lambda: "the old certificate is still used")
    assert _client(guarded, authority, "act-certificate").get("/v2/health/live").status == 200


def _serial(server: ServerProcess, authority: Authority) -> str:
    connection = _client(server, authority, "act-certificate").connection()
    connection.connect()
    try:
        assert isinstance(connection.sock, ssl.SSLSocket)
        certificate: Any = connection.sock.getpeercert()
        return str(certificate["serialNumber"])
    finally:
        connection.close()


@pytest.mark.parametrize("way", ["token", "certificate"])
def test_who_calls_is_asked_each_time(guarded: ServerProcess, authority: Authority, way: str) -> None:
    """Equal requests on one connection are each admitted or refused by their own caller."""
    body = b'{"observations": [0, 0, 0, 0]}'
    for role, expected in (("act", 200), ("train", 403), ("nobody", 401)):
        token = f"{role}-token" if way == "token" else ""
        client = _client(guarded, authority, "stranger" if token else f"{role}-certificate", token)
        connection = client.connection()
        for _ in range(3):
            connection.request("POST", "/v1/policies/cartpole:act", body, client.headers)
            response = connection.getresponse()
            response.read()
            assert response.status == expected
        connection.close()
