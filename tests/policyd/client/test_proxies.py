"""A proxy of the environment stands in nobody's way on this machine, and is named elsewhere."""

from __future__ import annotations

import socket

import pytest

from policyd import PolicyClient, errors
from policyd.client.proxies import through


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> str:
    """Sets a proxy that does not respond in the environment."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unused.getsockname()[1]}"
    for name in ("no_proxy", "no_grpc_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://user:secret@{place}")
    return place


def test_calls_on_this_machine_go_without_it(proxy: str, address: str) -> None:
    """Calls to loopback do not use the proxy, although the environment excludes nothing from it."""
    with PolicyClient(address, timeout=60) as client:
        assert [policy.name for policy in client.list_policies()] == ["cartpole"]


def test_an_error_elsewhere_names_it(proxy: str) -> None:
    """The error names the proxy and its variable, without the password."""
    with (
        PolicyClient("policies.example:50051", timeout=60) as client,
        pytest.raises(errors.PolicydError) as raised,
    ):
        client.list_policies()
    assert isinstance(raised.value, errors.Unavailable | errors.DeadlineExceeded)
    assert f"through the proxy {proxy} of http_proxy" in raised.value.message
    assert "no_proxy=policies.example" in raised.value.message
    assert "secret" not in raised.value.message


def test_what_is_excepted_is_not_blamed_on_it(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """no_proxy hosts, addresses of this machine and Unix sockets are not blamed on the proxy."""
    assert through("policies.example:50051")
    for address in ("127.0.0.1:1", "localhost:1", "unix:/run/policyd"):
        assert through(address) == ""
    monkeypatch.setenv("no_proxy", "other.example,.example")
    assert through("dns:///policies.example:50051") == ""
    monkeypatch.setenv("grpc_proxy", "http://p:1")
    monkeypatch.setenv("no_grpc_proxy", "other")
    assert "p:1 of grpc_proxy" in through("policies.example:50051")
