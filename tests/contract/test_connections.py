"""How long connections live."""

from __future__ import annotations

from pathlib import Path

from policyd import PolicyClient
from tests.contract.conftest import Publish, StartServer

ESTABLISHED = "01"


def _clients(port: int) -> set[str]:
    """The client ends of a server's connections on this port, as the kernel lists them."""
    # gRPC's core serves IPv4 on sockets of IPv6.
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()]
    ends = [line.split()[1:4] for line in lines]
    return {far for near, far, state in ends if state == ESTABLISHED and near.endswith(f":{port:04X}")}


def test_an_old_connection_is_replaced_without_a_failed_call(
    start_server: StartServer, publish: Publish
) -> None:
    """After --max-connection-age the client connects again, and no call fails."""
    publish()
    server = start_server("--max-connection-age", "0.5")
    port = int(server.address.rpartition(":")[2])
    seen: set[str] = set()
    with PolicyClient(server.address, timeout=60) as client:
        while len(seen) < 2:
            assert client.act([[0.0, 0.0, 0.0, 0.0]], policy="cartpole").version == 1
            seen |= _clients(port)
