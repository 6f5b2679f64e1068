"""The HTTP process: it starts with the server, calls the workers, comes back when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from policy_api.v1 import policy_pb2
from policyd_server.http.link import WorkerChannels
from tests.policyd_server.http.conftest import Client, http_url
from tests.policyd_server.process import TRANSPORTS, ServerProcess, needs_front


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_lives_with_the_server(folder: Path, tmp_path: Path, transport: str, workers: str) -> None:
    """The HTTP process responds over both transports and with several workers.

    If it is killed, it is started again on its port.
    """
    flags = ["--http", "127.0.0.1:0", "--transport", transport, "--workers", workers]
    server = ServerProcess(tmp_path, folder / "repository", *flags)
    client = Client(http_url(server))
    assert client.get("/v2/health/ready").status == 200
    assert client.get("/v1/policies/cartpole").json["name"] == "cartpole"
    acted = client.post("/v1/policies/cartpole:act", {"observations": [0, 0, 0, 0]})
    assert acted.json["batch_size"] == 1
    os.kill(_http_process(server), signal.SIGKILL)
    assert client.get("/v2/health/ready").status == 200
    assert server.stop() == 0
    assert "the HTTP process ended with code -9; another starts in 1 s" in server.log
    assert "Traceback" not in server.log


@needs_front
def test_hot_methods_go_to_the_front(server: ServerProcess, client: Client) -> None:
    """A fast call goes over a connection to the worker's front, whose own thread responds."""
    assert client.get("/v2/health/ready").status == 200
    asyncio.run(_calls_the_front(front_of(server).parent))


async def _calls_the_front(folder: Path) -> None:
    workers = WorkerChannels(folder, 2**20, fronted=True)
    following = asyncio.create_task(workers.run())
    async with asyncio.timeout(60):
        while (front := workers.front()) is None:  # noqa: ASYNC110  until it is connected: there is no event
            await asyncio.sleep(0.01)
    request = policy_pb2.ActRequest(policy="cartpole")
    request.observations.raw = bytes(16)
    message = await front.call(b"/policy_api.v1.PolicyService/Act", [], request.SerializeToString(), 30)
    assert policy_pb2.ActResponse.FromString(message).batch_size == 1
    following.cancel()
    await workers.close()


def front_of(server: ServerProcess) -> Path:
    """The private socket of the worker's front."""
    told = Path("/proc/net/unix").read_text().split()
    return next(Path(path) for path in told if path.endswith(f"/{server.process.pid}.front"))


def test_an_address_that_strangers_reach_needs_tls(folder: Path) -> None:
    """The rule of the gRPC port applies to this port."""
    command = [sys.executable, "-m", "policyd_server", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"]
    ended = subprocess.run(
        [*command, "--repository", str(folder / "repository")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "refusing to listen on 0.0.0.0:0 without TLS" in ended.stderr


def test_the_workers_import_nothing_of_it(server: ServerProcess, client: Client) -> None:
    """Only the HTTP process loads Starlette, so a worker needs no more memory with HTTP."""
    assert client.get("/v2/health/live").status == 200
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "httptools" not in maps
    maps = Path(f"/proc/{_http_process(server)}/maps").read_text()
    assert "httptools" in maps
    assert "onnxruntime" not in maps


def _http_process(server: ServerProcess) -> int:
    """The process id of the server's HTTP process."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            told = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # the process has just ended
            continue
        if b"policyd_server.http.process" in told and str(server.process.pid).encode() in told:
            return int(entry.name)
    raise AssertionError("there is no HTTP process")
