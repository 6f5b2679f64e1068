"""Where the server listens.

IPv4, IPv6 and Unix sockets at once, with one worker and with several.
"""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import grpc
import pytest

from policy_api.v1.policy_pb2 import ActRequest, FloatArray, ListPoliciesRequest
from policy_api.v1.policy_pb2_grpc import PolicyServiceStub
from policyd.errors import FailedPrecondition
from policyd_server.transports import sockets
from tests.policyd_server.process import Publish, StartServer, needs_front

REQUEST = ActRequest(observations=FloatArray(raw=bytes(16)))


@needs_front
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("transport", ["front"])
def test_several_addresses_at_once(
    publish: Publish, start_server: StartServer, tmp_path: Path, workers: str
) -> None:
    """Each address serves Act and relayed methods.

    The Unix socket belongs to the owner, and is removed with the server.
    """
    publish()
    path = tmp_path / "policyd.sock"
    server = start_server("--workers", workers, "--listen", f"127.0.0.1:0,[::1]:0,unix:{path}")
    addresses = server.address.split(",")
    assert len(addresses) == 3
    for address in addresses:
        with grpc.insecure_channel(address) as channel:
            assert PolicyServiceStub(channel).Act(REQUEST, timeout=60).version == 1
            listed = PolicyServiceStub(channel).ListPolicies(ListPoliciesRequest(), timeout=60)
            assert [policy.name for policy in listed.policies] == ["cartpole"]
    assert stat.S_ISSOCK(path.stat().st_mode)
    server.stop()
    assert not path.exists()


def test_a_socket_file_that_nobody_serves_is_replaced(tmp_path: Path) -> None:
    """A killed server leaves such a file. That of a running server is not replaced."""
    address = f"unix:{tmp_path / 'left.sock'}"
    sockets.bound(address, shared=False).close()
    with sockets.bound(address, shared=False), pytest.raises(FailedPrecondition, match="cannot listen on"):
        sockets.bound(address, shared=False)


def test_a_taken_port_is_refused() -> None:
    """As with grpc.aio, no second server takes calls of the first."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(FailedPrecondition, match="cannot listen on"):
            sockets.bound(address, shared=False)
