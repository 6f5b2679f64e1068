"""A proxy of the environment stands in nobody's way to this machine, whichever library calls."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from policyd import errors
from policyd.repository import ModelRepository
from policyd.runtime.no_proxy import except_loopback
from policyd.runtime.tracing import Tracing
from tests.collector import collecting

VARIABLES = ("no_proxy", "NO_PROXY", "no_grpc_proxy", "grpc_proxy", "HTTP_PROXY", "https_proxy")


@pytest.fixture(autouse=True)
def _proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets a proxy that does not respond in the environment."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # the fixture also restores what the code sets
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused.getsockname()[1]}")


@pytest.mark.parametrize(
    ("listed", "wanted"),
    [
        ("", "localhost,127.0.0.1,::1"),
        ("a.example, localhost", "a.example,localhost,127.0.0.1,::1"),
        ("*", "*"),
    ],
)
def test_what_is_listed_stays(listed: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is added once to the hosts that an operator has listed."""
    monkeypatch.setenv("NO_PROXY", listed)
    for _ in range(2):
        except_loopback()
    assert os.environ["NO_PROXY"] == wanted


@pytest.fixture
def paths() -> Iterator[tuple[list[str], int]]:
    """The paths that a server on loopback is asked for, and its port."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            """Logs nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield asked, server.server_port
        server.shutdown()


def test_object_storage_on_loopback_is_asked_itself(
    paths: tuple[list[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's own response comes back, although the proxy does not respond."""
    asked, port = paths
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    repository = ModelRepository(f"s3://bucket/models?endpoint=http://127.0.0.1:{port}")
    with pytest.raises(errors.PolicydError, match="404"):
        repository.policies()
    assert asked


def test_traces_reach_a_collector_on_loopback() -> None:
    """Traces are sent by gRPC, which reads the same variables, and still arrive."""
    with collecting() as (collector, endpoint):
        tracing = Tracing("tested", endpoint)
        with tracing.job("job-1", ""):
            pass
        tracing.close()
        assert collector.span("tested", "job")
