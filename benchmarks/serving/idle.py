"""What a server costs that nobody asks: start, CPU time, memory, and how soon it serves promotions.

`python -m benchmarks.serving.idle`, for repositories with one policy and with many.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import click
import grpc
import numpy as np

from benchmarks.serving import processes
from benchmarks.serving.contestants import Workplace, ours
from benchmarks.serving.policy import POLICY, publish
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import ACT
from policy_api.v1.policy_pb2 import ActRequest
from policy_api.v1.policy_pb2_grpc import PolicyServiceStub
from policyd.repository import ModelRepository

ANSWER_SECONDS = 60.0
NOBODY = "127.0.0.1:1"  # so the server does not find a trainer that runs on this machine


@dataclass
class Measured:
    """The figures of one server."""

    start_seconds: float
    cpu_share: float = 0.0  # of a core, without any request
    resident_mb: list[float] = field(default_factory=list)
    promotion_ms: list[float] = field(default_factory=list)  # until the promoted version responds


@click.command(context_settings={"show_default": True})
@click.option("--policies", multiple=True, type=click.IntRange(1), default=(1, 200), help="Repeatable.")
@click.option("--workers", type=click.IntRange(1), default=1)
@click.option("--seconds", type=click.FloatRange(1), default=60.0, help="Without a request.")
@click.option("--promotions", type=click.IntRange(1), default=20, help="By this process, not the server.")
def main(policies: tuple[int, ...], workers: int, seconds: float, promotions: int) -> None:
    """Print one line for each number of policies."""
    processes.stop_in_order()
    for count in policies:
        measured = measure(count, workers, seconds, promotions)
        worst, typical = max(measured.promotion_ms), statistics.median(measured.promotion_ms)
        memory = ", ".join(f"{size:.0f}" for size in measured.resident_mb)
        click.echo(
            f"{count} policies: start {measured.start_seconds:.2f} s; "
            f"idle {measured.cpu_share:.3%} of a core; "
            f"promotion served after {typical:.1f} ms (worst {worst:.1f}); peak MB {memory}"
        )


def measure(policies: int, workers: int, seconds: float, promotions: int) -> Measured:
    """Starts a server on a new repository, measures and stops it."""
    with tempfile.TemporaryDirectory(prefix="policyd-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        repository = publish(folder / "repository")
        for number in range(1, policies):
            _copy(repository, f"{POLICY}-{number}")
        begin = time.perf_counter()
        place = Workplace(folder, repository.root, folder, _nothing)
        running = ours("--workers", str(workers), "--trainer", NOBODY)(folder / "server", place)
        stack.callback(running.stop)
        measured = Measured(time.perf_counter() - begin)
        before = running.cpu_seconds()
        time.sleep(seconds)  # the server is measured meanwhile
        measured.cpu_share = (running.cpu_seconds() - before) / seconds
        measured.promotion_ms = _promote(running, repository, promotions)
        measured.resident_mb = [size / 1e6 for size in sorted(running.peak_memory().values(), reverse=True)]
    return measured


def _nothing(_batch: int) -> np.ndarray:
    raise AssertionError("nothing is compared")


def _copy(repository: ModelRepository, policy: str) -> None:
    """Publishes the first version again under another name."""
    metadata = repository.read(POLICY, 1).metadata
    metadata.policy = policy
    repository.publish(policy, {"model.onnx": repository.read_model(POLICY, 1)}, metadata=metadata)
    repository.set_alias(policy, "champion", 1, actor="benchmark", reason="first version")


def _promote(running: Running, repository: ModelRepository, promotions: int) -> list[float]:
    """Milliseconds from each promotion in the repository until the new version responds."""
    request = ActRequest.FromString(ACT.request(1))
    with grpc.insecure_channel(running.address) as channel:
        act: Callable[..., object] = PolicyServiceStub(channel).Act
        return [_promoted(act, request, repository, 2 - number % 2) for number in range(promotions)]


def _promoted(
    act: Callable[..., object], request: ActRequest, repository: ModelRepository, version: int
) -> float:
    repository.set_alias(POLICY, "champion", version, actor="benchmark", reason="measured")
    begin = time.perf_counter()
    while getattr(act(request, timeout=ANSWER_SECONDS), "version", 0) != version:
        if time.perf_counter() - begin > ANSWER_SECONDS:
            raise TimeoutError(f"version {version} does not answer")
    return (time.perf_counter() - begin) * 1e3


if __name__ == "__main__":
    main()
