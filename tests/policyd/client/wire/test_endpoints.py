"""Which addresses the compiled core calls."""

from __future__ import annotations

import pytest

from policyd.client.credentials import ANONYMOUS, Credentials
from policyd.client.wire.endpoints import VARIABLE, endpoint_of


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "no_grpc_proxy", "grpc_proxy", "https_proxy", "http_proxy", VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("address", "path", "hosts"),
    [
        ("127.0.0.1:50051", "", ("127.0.0.1",)),
        ("10.1.2.3:80", "", ("10.1.2.3",)),
        ("[::1]:80", "", ("::1",)),
        ("localhost:80", "", ("127.0.0.1", "::1")),
        ("unix:/run/policyd.sock", "/run/policyd.sock", ()),
        ("unix:///run/policyd.sock", "/run/policyd.sock", ()),
        ("unix:policyd.sock", "policyd.sock", ()),
    ],
)
def test_one_server_without_tls_is_called(address: str, path: str, hosts: tuple[str, ...]) -> None:
    """A Unix path, an IP address and localhost go through the compiled core."""
    endpoint = endpoint_of(address, ANONYMOUS)
    assert endpoint is not None
    assert (endpoint.path, endpoint.hosts) == (path, hosts)


@pytest.mark.parametrize(
    "address",
    [
        "policyd.example:80",
        "dns:///localhost:80",
        "ipv4:127.0.0.1:80,127.0.0.2:80",
        "unix-abstract:policyd",
        "unix://host/path",
        "[fe80::1%eth0]:80",
    ],
)
def test_what_may_be_several_servers_goes_through_grpcio(address: str) -> None:
    """A name with several addresses, or one that only gRPC can resolve, goes through grpcio."""
    assert endpoint_of(address, ANONYMOUS) is None


def test_tls_proxies_and_wishes_go_through_grpcio(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS, proxies and explicit settings go through grpcio. A token alone does not."""
    assert endpoint_of("127.0.0.1:80", Credentials(tls=True)) is None
    assert endpoint_of("127.0.0.1:80", Credentials(token="secret")) is not None
    monkeypatch.setenv("http_proxy", "http://proxy.example:1")
    assert endpoint_of("10.1.2.3:80", ANONYMOUS) is None
    assert endpoint_of("127.0.0.1:80", ANONYMOUS) is not None
    monkeypatch.setenv(VARIABLE, "grpcio")
    assert endpoint_of("127.0.0.1:80", ANONYMOUS) is None
