"""Requests leave nothing behind that waits for the garbage collector, on the front.

grpc.aio itself leaves some objects of each request, so its transport is not counted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from policy_api.v1 import policy_pb2 as pb
from policy_api.v1 import policy_pb2_grpc
from policyd.repository import ModelRepository
from tests.policyd_server.process import Publish, needs_front

pytestmark = [pytest.mark.long, needs_front]

COUNTED = Path(__file__).with_name("counted.py")
REQUESTS = 500
SPARE = REQUESTS // 5  # objects that a connection or a cache may add once
ACT = pb.ActRequest(policy="cartpole", observations=pb.FloatArray(raw=bytes(16)), seed=3)
QUEUED = pb.ActRequest(policy="cartpole", observations=pb.FloatArray(values=[0] * 4), temperature=2.0)
REFUSED = pb.ActRequest(policy="nobody", observations=pb.FloatArray(values=[0] * 4))
INFER = service_pb2.ModelInferRequest(model_name="cartpole", raw_input_contents=[bytes(16)])
INFER.inputs.add(name="observations", datatype="FP32", shape=[1, 4])


class Counted:
    """A server that counts its objects."""

    def __init__(self, folder: Path, repository: Path | str) -> None:
        self._pipe, port = folder / "count", folder / "port"
        for name in (self._pipe, port):
            os.mkfifo(name)
        flags = ["--listen", "127.0.0.1:0", "--workers", "1", "--transport", "front"]
        flags += ["--repository", str(repository), "--port-file", str(port)]
        self.process = subprocess.Popen(
            [sys.executable, str(COUNTED), *flags], env=os.environ | {"COUNTED": str(self._pipe)}
        )
        self._channel = grpc.insecure_channel(port.read_text().strip())
        self.policy = policy_pb2_grpc.PolicyServiceStub(self._channel)
        self.inference = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def count(self) -> int:
        """The number of its objects."""
        self.process.send_signal(signal.SIGUSR2)
        return int(self._pipe.read_text())

    def stop(self) -> None:
        """Ends it."""
        self._channel.close()
        self.process.terminate()
        assert self.process.wait(60) == 0


@pytest.fixture
def server(tmp_path: Path, publish: Publish, repository: ModelRepository) -> Iterator[Counted]:
    """Serves one policy."""
    publish()
    server = Counted(tmp_path, repository.root)
    yield server
    server.stop()


def _act(server: Counted, request: pb.ActRequest) -> None:
    for _ in range(REQUESTS):
        with suppress(grpc.RpcError):
            server.policy.Act(request, timeout=60)


def _streams(server: Counted) -> None:
    for _ in range(REQUESTS):
        assert list(server.policy.StreamAct(iter([pb.StreamActRequest(request=ACT)])))


def _left(server: Counted) -> None:
    """Streams that their clients leave before the end."""
    for _ in range(REQUESTS):
        answers = server.policy.StreamAct(iter([pb.StreamActRequest(request=ACT)] * 2))
        next(answers)
        answers.cancel()


def _infer(server: Counted) -> None:
    for _ in range(REQUESTS):
        server.inference.ModelInfer(INFER, timeout=60)


def _infer_streams(server: Counted) -> None:
    for _ in range(REQUESTS):
        assert list(server.inference.ModelStreamInfer(iter([INFER])))


KINDS: dict[str, Callable[[Counted], None]] = {
    "in place": lambda server: _act(server, ACT),
    "queued": lambda server: _act(server, QUEUED),
    "refused": lambda server: _act(server, REFUSED),
    "streams": _streams,
    "streams left": _left,
    "Open Inference Protocol": _infer,
    "its streams": _infer_streams,
}


def test_requests_leave_no_garbage(server: Counted) -> None:
    """No kind of request leaves garbage, even if it fails or its client goes away."""
    for ask in KINDS.values():
        ask(server)
    for kind, ask in KINDS.items():
        before = server.count()
        ask(server)
        server.policy.Act(ACT, timeout=60)  # all earlier work has then ended
        assert server.count() - before < SPARE, kind
