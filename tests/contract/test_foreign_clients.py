"""Programs that are no gRPC library of ours get the same answers."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray
from tests.contract.conftest import Publish, StartServer

ACT = "/policy_api.v1.PolicyService/Act"
REQUEST = ActRequest(policy="cartpole", observations=FloatArray(values=[0.1, 0.2, 0.3, 0.4]), seed=7)


def _speaks_http2() -> bool:
    if shutil.which("curl") is None:
        return False
    told = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=False).stdout
    return "HTTP2" in told


needs_curl = pytest.mark.skipif(not _speaks_http2(), reason="there is no curl with HTTP/2")


def _curl(url: str, message: bytes, folder: Path, *flags: str) -> tuple[list[bytes], dict[str, str]]:
    """The messages of a response, with its headers and trailers."""
    (folder / "body").write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
    command = ["curl", "--silent", "--show-error", "--max-time", "60", *flags]
    command += ["--header", "content-type: application/grpc", "--header", "te: trailers"]
    command += ["--data-binary", f"@{folder / 'body'}", "--output", str(folder / "answer")]
    command += ["--dump-header", str(folder / "headers"), url]
    subprocess.run(command, check=True, timeout=60)
    lines = [line.partition(":") for line in (folder / "headers").read_text().splitlines()]
    return _messages((folder / "answer").read_bytes()), {name: value.strip() for name, _, value in lines}


def _messages(data: bytes) -> list[bytes]:
    found = []
    while data:
        compressed, size = struct.unpack(">BI", data[:5])
        assert not compressed
        found.append(data[5 : 5 + size])
        data = data[5 + size :]
    return found


@needs_curl
def test_curl_asks_in_plain_text(start_server: StartServer, publish: Publish, tmp_path: Path) -> None:
    """With --http2-prior-knowledge curl gets a gRPC client's response, with trailer status 0."""
    publish()
    server = start_server()
    url = f"http://{server.address}{ACT}"
    messages, headers = _curl(url, REQUEST.SerializeToString(), tmp_path, "--http2-prior-knowledge")
    assert headers["grpc-status"] == "0"
    assert [ActResponse.FromString(message) for message in messages] == [
        server.policy.Act(REQUEST, timeout=60)
    ]


@needs_curl
def test_curl_is_told_what_is_wrong(start_server: StartServer, publish: Publish, tmp_path: Path) -> None:
    """A request for an unknown policy gives HTTP 200, no message, and NOT_FOUND with its reason."""
    publish()
    url = f"http://{start_server().address}{ACT}"
    request = ActRequest(policy="unknown", observations=REQUEST.observations).SerializeToString()
    (tmp_path / "answer").touch()  # curl writes no file if it is empty
    messages, headers = _curl(url, request, tmp_path, "--http2-prior-knowledge")
    assert not messages
    assert headers["grpc-status"] == "5"
    assert "unknown" in headers["grpc-message"]
