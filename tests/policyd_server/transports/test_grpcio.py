"""What listens: one server an address, over each transport."""

from __future__ import annotations

from pathlib import Path

from policy_api.v1 import policy_pb2 as pb
from policyd_server.transports.grpcio import MAX_STREAMS
from tests.policyd_server.process import Publish, StartServer
from tests.policyd_server.test_run import run


def test_a_taken_port_is_one_line(start_server: StartServer, tmp_path: Path) -> None:
    """A second server on the same port ends at once with one line, the reason first."""
    server = start_server()
    code, text = run("--listen", server.address, "--repository", str(tmp_path))
    assert code == 1
    assert text.startswith(f"Error: ADDRESS_TAKEN: cannot listen on {server.address}: ")
    assert "Traceback" not in text


def test_more_calls_at_once_than_a_connection_has_streams(
    publish: Publish, start_server: StartServer
) -> None:
    """All get responses. The client holds back calls without a stream, and none is refused."""
    publish()
    server = start_server()
    request = pb.ActRequest(observations=pb.FloatArray(values=[0, 0, 0, 0]))
    server.policy.Act(request, timeout=60)
    calls = [server.policy.Act.future(request, timeout=90) for _ in range(6 * MAX_STREAMS)]
    assert {call.result().version for call in calls} == {1}
