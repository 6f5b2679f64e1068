"""Headers that no gRPC library sends leave no traceback in the log."""

from __future__ import annotations

from tests.policyd_server.front.echo import DATA, END_HEADERS, END_STREAM, HEADERS, RawClient, frame, head
from tests.policyd_server.front.echo import message as framed
from tests.policyd_server.process import Publish, StartServer

LIST, NONE = "/policy_api.v1.PolicyService/ListPolicies", "/policy_api.v1.PolicyService/~~"


def test_bytes_that_are_no_utf_8_are_not_logged(publish: Publish, start_server: StartServer) -> None:
    """A header of such bytes is ignored, and a path of them fails. The server is not at fault.

    Anybody could fill the log with them. The fixture checks that there is no traceback.
    """
    publish()
    server = start_server()
    port = int(server.address.rpartition(":")[2])
    for block in (head(LIST, x_odd="~~"), head(NONE)):
        client = RawClient(port)
        client.send(frame(HEADERS, END_HEADERS, 1, block.replace(b"~~", b"\xff\xfe")))
        client.send(frame(DATA, END_STREAM, 1, framed(b"")))
        assert any(stream == 1 and flags & END_STREAM for _, flags, stream, _ in client.frames())
        client.close()
    assert "Invalid encoding" not in server.log
