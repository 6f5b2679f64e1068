"""Tokens and TLS on the client's side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from policyd import PolicyClient, errors
from policyd.cli.app import run
from policyd.cli.exits import Exit
from policyd.client.credentials import Credentials


def test_a_token_goes_with_every_call(address: str, peer: Any) -> None:
    """The server sees the bearer token in the call's metadata."""
    with PolicyClient(address, timeout=60, credentials=Credentials(token="secret")) as client:
        client.list_policies()
        client.list_training_jobs()
    assert peer.authorizations == ["Bearer secret", "Bearer secret"]


def test_a_token_does_not_cross_a_network_in_plain_text() -> None:
    """A token needs TLS unless the server is on loopback. The error does not show the token."""
    with pytest.raises(errors.InvalidArgument) as caught:
        PolicyClient("policyd.example:50051", credentials=Credentials(token="secret"))
    assert "secret" not in caught.value.message
    assert "secret" not in repr(Credentials(token="secret"))


def test_tls_with_an_authority_of_our_own(peer: Any, authority: Any, capfd: Any) -> None:
    """--tls-ca trusts the authority that signed the server's certificate.

    Without it there is no connection.
    """
    files = authority.issue("server")
    pair = (files.key.read_bytes(), files.certificate.read_bytes())
    server, port = peer.serve(credentials=grpc.ssl_server_credentials([pair]))
    try:
        where = ("--server", f"localhost:{port}")
        assert run([*where, "--tls-ca", str(authority.certificate), "policies"]) == Exit.OK
        assert "cartpole" in capfd.readouterr().out
        assert run([*where, "--tls", "policies"]) == Exit.UNREACHABLE
        assert "policyctl: UNREACHABLE: no answer from localhost" in capfd.readouterr().err
    finally:
        server.stop(None).wait()


def test_certificate_and_key_go_together(tmp_path: Path, capfd: Any) -> None:
    """A certificate without its key, or a key alone, is a usage error."""
    (tmp_path / "cert.pem").write_text("x")
    assert run(["--tls-cert", str(tmp_path / "cert.pem"), "policies"]) == Exit.BAD_REQUEST
    assert "go together" in capfd.readouterr().err
