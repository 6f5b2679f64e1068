"""Who is measured: this server, the limits, and the peers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime

from benchmarks.serving import container, limit, peers, processes
from benchmarks.serving.policy import observations
from benchmarks.serving.processes import START_SECONDS, Running
from benchmarks.serving.protocols import ACT, ECHO, INFER, InvalidAnswer, Protocol
from benchmarks.serving.secured import Secrets, Secured, with_roles, with_tls
from benchmarks.serving.targets import IMAGE, IMAGE_ON_HOST

CHECKOUT = Path(__file__).parents[2]
IMAGES = {IMAGE: False, IMAGE_ON_HOST: True}  # whether it uses the machine's network


@dataclass(frozen=True)
class Workplace:
    """Where the servers keep their files, and the model that all of them serve."""

    folder: Path
    repository: Path
    model: Path
    expected: Callable[[int], np.ndarray]  # batch -> action_probs [batch, 4]


@dataclass(frozen=True)
class Contestant:
    """A server, how to start it, and how to call it. `kind` is ours, limit or peer."""

    name: str
    kind: str
    protocol: Protocol
    start: Callable[[Path, Workplace], Running]


def ours(*flags: str, secured: Secured | None = None) -> Callable[[Path, Workplace], Running]:
    """How to start this server with more flags."""

    def start(folder: Path, place: Workplace) -> Running:
        folder.mkdir()
        secrets = None if secured is None else Secrets.made(folder / "secrets")
        environment, token = ({}, "") if secured is None or secrets is None else secured(secrets)
        port_file = folder / "port"
        command = [sys.executable, "-m", "policyd_server", "--listen", "127.0.0.1:0"]
        command += ["--repository", str(place.repository), "--port-file", str(port_file), *flags]
        running = processes.start([command], log=folder / "log", env=environment, cwd=CHECKOUT)
        running.authority, running.token = None if secrets is None else secrets.authority, token
        running.address = processes.read_address(port_file, running)
        return running

    return start


def _in_c(*, policy: bool, processes_of_it: int = 1) -> Callable[[Path, Workplace], Running]:
    """How to start the limit in C: with the policy, in one or two processes, or as an echo only."""

    def start(folder: Path, place: Workplace) -> Running:
        folder.mkdir()
        port_file = folder / "port"
        command = [str(limit.build(place.folder)), str(port_file)]
        if policy:
            command += [str(place.model), str(limit.onnxruntime_library())]
        if processes_of_it == 2:
            command.append("two")
        running = processes.start([command], log=folder / "log", cwd=CHECKOUT)
        running.address = processes.read_address(port_file, running)
        return running

    return start


def _image(*, host_network: bool) -> Callable[[Path, Workplace], Running]:
    return lambda folder, place: container.start(folder, place.repository, host_network=host_network)


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("policyd front", "ours", ACT, ours("--transport", "front", "--workers", "1")),
        Contestant("policyd grpcio", "ours", ACT, ours("--transport", "grpcio", "--workers", "1")),
        Contestant("policyd front x2", "ours", ACT, ours("--transport", "front", "--workers", "2")),
        Contestant(
            "policyd front TLS",
            "ours",
            ACT,
            ours("--transport", "front", "--workers", "1", secured=with_tls),
        ),
        Contestant(
            "policyd front TLS, roles",
            "ours",
            ACT,
            ours("--transport", "front", "--workers", "1", secured=with_roles),
        ),
        *(Contestant(name, "ours", ACT, _image(host_network=own)) for name, own in IMAGES.items()),
        Contestant("C + ONNX Runtime", "limit", ACT, _in_c(policy=True)),
        Contestant("C + ONNX Runtime x2", "limit", ACT, _in_c(policy=True, processes_of_it=2)),
        Contestant("C echo", "limit", ECHO, _in_c(policy=False)),
        Contestant(
            "Triton",
            "peer",
            INFER,
            lambda folder, place: peers.start_triton(folder, place.model, dynamic_batching=False),
        ),
        Contestant(
            "Triton dynamic batching",
            "peer",
            INFER,
            lambda folder, place: peers.start_triton(folder, place.model, dynamic_batching=True),
        ),
        Contestant(
            "MLServer", "peer", INFER, lambda folder, place: peers.start_mlserver(folder, place.model)
        ),
    )
}


def ready(contestant: Contestant, running: Running, place: Workplace, batches: list[int]) -> dict[int, int]:
    """Waits for the first response, checks one of each batch size, returns the bytes of each.

    Raises:
        InvalidAnswer: the server ended, did not respond in time, or sent a wrong response.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return {batch: _checked(contestant.protocol, running, place, batch) for batch in batches}
        except grpc.RpcError as error:
            if running.exited() or time.monotonic() > deadline:
                raise InvalidAnswer(f"{contestant.name}: {error}\n{running.log_tail()}") from None
            time.sleep(0.2)  # servers of others have no event to wait for


def available() -> tuple[tuple[str, ...], str]:
    """The contestants that this machine can run; which it cannot run, and why. Empty: none.

    The image needs a container engine.
    """
    reason = container.missing()
    if not reason:
        return tuple(CONTESTANTS), ""
    return tuple(name for name in CONTESTANTS if name not in IMAGES), f"{' and '.join(IMAGES)}: {reason}"


def _checked(protocol: Protocol, running: Running, place: Workplace, batch: int) -> int:
    with _channel(running) as channel:
        call: Any = channel.unary_unary(protocol.method)
        metadata = tuple(tuple(header.split(": ", 1)) for header in running.headers)
        answer: bytes = call(protocol.request(batch), timeout=10, metadata=metadata)
    protocol.check(answer, place.expected(batch))
    return len(answer)


def _channel(running: Running) -> grpc.Channel:
    if running.authority is None:
        return grpc.insecure_channel(running.address)
    secrets = grpc.ssl_channel_credentials(running.authority.read_bytes())
    return grpc.secure_channel(running.address, secrets)


def expected_by(model: bytes) -> Callable[[int], np.ndarray]:
    """What ONNX Runtime computes in this process, for comparison."""
    session = own_session(model)
    return lambda batch: np.asarray(session.run(["action_probs"], {"observations": observations(batch)})[0])


def own_session(model: bytes) -> Any:
    """The model with one thread, as the servers use it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)
