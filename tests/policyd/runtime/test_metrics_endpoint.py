"""The endpoint of the metrics: its address is known before it answers."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry, Counter

from policyd.errors import FailedPrecondition
from policyd.runtime import metrics_endpoint as endpoint_module
from policyd.runtime.measured import metrics_endpoint
from policyd.runtime.metrics_endpoint import MetricsEndpoint


def _has(host: str) -> bool:
    """Whether this machine has the address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_port_is_known_before_anything_is_served(host: str) -> None:
    """No other process gets the port, and it responds as soon as there is a registry."""
    if not _has(host):
        pytest.skip(f"{host} is no address of this machine")
    registry = CollectorRegistry()
    Counter("seen", "Seen.", registry=registry).inc(3)
    with metrics_endpoint(f"[{host}]:0" if ":" in host else f"{host}:0") as endpoint:
        assert endpoint is not None
        assert not endpoint.address.endswith(":0")
        with pytest.raises(FailedPrecondition, match="cannot serve metrics on"):
            MetricsEndpoint(endpoint.address)
        url = f"http://{endpoint.address}/metrics"
        with endpoint.serving(registry), urllib.request.urlopen(url) as answer:
            assert b"seen_total 3.0" in answer.read()


def test_without_an_address_there_is_none() -> None:
    """Without an address nothing is measured."""
    with metrics_endpoint(None) as endpoint:
        assert endpoint is None


def test_idle_clients_occupy_it_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further ones are refused meanwhile, and then a reader is answered again."""
    monkeypatch.setattr(endpoint_module._Handler, "timeout", 1.0)
    with metrics_endpoint("127.0.0.1:0") as endpoint, ExitStack() as idle:
        assert endpoint is not None
        host, port = endpoint.address.split(":")
        with endpoint.serving(CollectorRegistry()):
            clients = [
                idle.enter_context(socket.create_connection((host, int(port)), timeout=60))
                for _ in range(endpoint_module.MAX_CONNECTIONS + 1)
            ]
            assert [client.recv(1) for client in reversed(clients)] == [b""] * len(clients)
            with urllib.request.urlopen(f"http://{endpoint.address}/metrics") as answer:
                assert answer.status == 200
