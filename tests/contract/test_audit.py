"""The audit log cannot be written by whoever calls: neither its lines nor its size."""

from __future__ import annotations

import hashlib
from pathlib import Path

import grpc
import pytest

from policy_api.v1 import policy_pb2 as pb
from policyd.runtime.guard import REFUSALS_LOGGED
from tests.contract.conftest import Publish, StartServer

TOKEN = "audit-" + "0" * 32
FORGED = "because\n2026-01-01 00:00:00,000 INFO policyd.audit: caller=root code=OK"
SET = "/policy_api.v1.PolicyService/SetAlias"


def test_a_caller_writes_no_line_and_no_megabytes(
    publish: Publish, start_server: StartServer, tmp_path: Path
) -> None:
    """Refusals are limited to a few lines. What a known caller sends is shortened and escaped."""
    publish()
    known = hashlib.sha256(TOKEN.encode()).hexdigest()
    callers = tmp_path / "callers.yaml"
    callers.write_text(f"callers: [{{name: admin, roles: [admin], token_sha256: {known}}}]")
    server = start_server("--callers", str(callers))
    long = pb.SetAliasRequest(policy="cartpole", alias="spare", version=1, reason=FORGED + "x" * 2_000_000)
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as refused:
            server.policy.SetAlias(long, timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    shown = (("authorization", f"Bearer {TOKEN}"),)
    with pytest.raises(grpc.RpcError) as refused:
        server.policy.SetAlias(long, timeout=60, metadata=shown)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    short = pb.SetAliasRequest(policy="cartpole", alias="spare", version=1, reason=FORGED)
    server.policy.SetAlias(short, timeout=60, metadata=shown)
    server.stop()
    lines = server.log.splitlines()
    assert len([line for line in lines if "refused" in line]) == REFUSALS_LOGGED
    recorded = [line for line in lines if f"method={SET}" in line and "caller=admin" in line]
    assert len(recorded) == 2
    assert all("because\\n2026" in line for line in recorded)
    assert not any(line.startswith("2026-01-01") for line in lines)
    assert len(server.log) < 10_000
