"""A client's mistake is the client's error.

Never INTERNAL or UNKNOWN, never a traceback, always counted.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.contract.conftest import Publish, StartServer
from tests.contract.fuzz.fuzzer import METHODS, Case, Fuzzer
from tests.contract.fuzz.requests import valid_requests
from tests.policyd_server.metrics.test_metrics import await_value

pytestmark = pytest.mark.long

CASES = 1200
TOKEN = "fuzz-" + "0" * 32
CALLERS = f"""
callers:
  - name: fuzzer
    roles: [act, train, admin]
    token_sha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}
"""
# For methods that this server does not have, gRPC itself responds.
OFFERED = [
    method
    for method in METHODS
    if not method.endswith(
        ("SharedMemoryRegister", "SharedMemoryUnregister", "MemoryStatus", "Setting", "Settings")
    )
]


@pytest.mark.parametrize("guarded", [False, True])
def test_no_request_is_answered_with_an_internal_error(
    publish: Publish, start_server: StartServer, tmp_path: Path, guarded: bool
) -> None:
    """Odd, changed, cut and random messages go to every method, with and without authorization."""
    publish()
    publish(promote=False)
    flags: tuple[str, ...] = ("--trainer", "127.0.0.1:1")
    if guarded:
        (tmp_path / "callers.yaml").write_text(CALLERS)
        flags += ("--callers", str(tmp_path / "callers.yaml"))
    server = start_server(*flags)
    fuzzer = Fuzzer(server.channel, valid_requests("cartpole", 4), seed=13, token=TOKEN if guarded else None)
    found = fuzzer.run(CASES)
    assert not found.wrong, f"seed 13: {found.wrong[:3]}"
    assert server.process.poll() is None
    assert "Traceback" not in server.log
    assert len(server.log) < 200_000


@pytest.mark.parametrize("guarded", [False, True])
def test_a_request_that_does_not_parse_is_counted(
    publish: Publish, start_server: StartServer, tmp_path: Path, guarded: bool
) -> None:
    """Every method responds INVALID_ARGUMENT, or UNAUTHENTICATED if the guard comes first.

    The metrics count both.
    """
    publish()
    flags: tuple[str, ...] = ("--metrics", "127.0.0.1:0", "--open", "none", "--trainer", "127.0.0.1:1")
    if guarded:
        (tmp_path / "callers.yaml").write_text(CALLERS)
        flags += ("--callers", str(tmp_path / "callers.yaml"))
    server = start_server(*flags)
    fuzzer = Fuzzer(server.channel, [], seed=0)
    for method in OFFERED:
        fuzzer.ask(Case(method, (b"\xff\xff\xff",)))
    assert not fuzzer.findings.wrong
    for method, code in fuzzer.findings.codes:
        if guarded:
            assert code == "UNAUTHENTICATED", method
        elif "TrainingService" not in method:  # its bytes are parsed by the trainer
            assert code == "INVALID_ARGUMENT", method
        service, name = method[1:].split("/")
        labels = {"grpc_service": service, "grpc_method": name, "grpc_code": code}
        await_value(server, 1, "grpc_server_handled_total", **labels)
