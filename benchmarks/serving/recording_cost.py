"""What recording costs: the same server asked with and without `decisions`, in turn.

`python -m benchmarks.serving.recording_cost`. h2load repeats one message, so the same decision is
recorded over and over; each copy goes through the whole way to the journal.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import click
import grpc

from benchmarks.serving import h2load, processes
from benchmarks.serving.contestants import Contestant, Workplace, expected_by, ours, ready
from benchmarks.serving.policy import OBSERVATION_SIZE, POLICY, publish
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import ACT
from policy_api.v1.experience_pb2 import ExperienceConfig, SetExperienceConfigRequest
from policy_api.v1.experience_pb2_grpc import ExperienceServiceStub
from policy_api.v1.policy_pb2 import ActRequest
from policy_api.v1.policy_pb2_grpc import PolicyServiceStub
from policyd.repository.records import MODEL


@dataclass
class Measured:
    """The rounds of one kind of request."""

    rates: list[float] = field(default_factory=list)  # responses per second
    p50: list[float] = field(default_factory=list)  # milliseconds
    cpu: list[float] = field(default_factory=list)  # seconds per request, over all of the server's processes


def _plain(request: ActRequest) -> None:
    """Sends raw observations only."""
    request.ClearField("policy")


def _policy(_: ActRequest) -> None:
    """Adds the policy's name."""


def _named(request: ActRequest) -> None:
    """Adds a named decision for each row."""
    for row in range(len(request.observations.raw) // (4 * OBSERVATION_SIZE)):
        request.decisions.add(episode_id="6f1c3a52-6a08-4c1e-9b6e-2f3f8b0f6d11", step=row, subject="player")


KINDS: dict[str, Callable[[ActRequest], None]] = {"plain": _plain, "policy": _policy, "named": _named}


@click.command(context_settings={"show_default": True})
@click.option("--rounds", type=click.IntRange(2), default=9, help="Of each kind.")
@click.option("--seconds", type=click.FloatRange(0.2), default=1.0, help="Of load a round.")
@click.option("--connections", type=click.IntRange(1), default=8, help="Each with one request.")
@click.option("--rows", type=click.IntRange(1), default=1, help="Of each request.")
def main(rounds: int, seconds: float, connections: int, rows: int) -> None:
    """Measure rate, latency and CPU time per request: named decisions against plain requests."""
    processes.stop_in_order()
    h2load.install()
    with tempfile.TemporaryDirectory(prefix="policyd-bench-") as folder, ExitStack() as stack:
        repository = publish(Path(folder) / "repository")
        model = repository.root / repository.read(POLICY, 1).path / MODEL
        place = Workplace(Path(folder), repository.root, model, expected_by(model.read_bytes()))
        start = ours("--workers", "1")
        running = start(Path(folder) / "server", place)
        stack.callback(running.stop)
        ready(Contestant("server", "ours", ACT, start), running, place, [rows])
        record(running.address)
        measured = {kind: Measured() for kind in KINDS}
        for _ in range(rounds):
            for kind in random.sample(list(KINDS), len(KINDS)):
                measure(measured[kind], running, message(kind, rows), connections, seconds)
    report(measured)


def record(address: str) -> None:
    """Sets the policy's mode to RECORD."""
    config = ExperienceConfig(mode=ExperienceConfig.RECORD)
    with grpc.insecure_channel(address) as channel:
        ExperienceServiceStub(channel).SetExperienceConfig(
            SetExperienceConfigRequest(policy=POLICY, config=config, actor="benchmark"), timeout=30
        )


def message(kind: str, rows: int) -> bytes:
    """A request of one kind. Its seed keeps all responses equally long."""
    request = ActRequest.FromString(ACT.request(rows))
    request.seed = 1 << 62
    KINDS[kind](request)
    return request.SerializeToString()


def measure(into: Measured, running: Running, data: bytes, connections: int, seconds: float) -> None:
    """Adds one round of load."""
    with grpc.insecure_channel(running.address) as channel:
        answer = PolicyServiceStub(channel).Act(ActRequest.FromString(data), timeout=30)
    before = running.cpu_seconds()
    load = h2load.run(
        running.url,
        ACT.method,
        data,
        connections=connections,
        seconds=seconds,
        answer_bytes=answer.ByteSize(),
    )
    into.cpu.append((running.cpu_seconds() - before) / load.requests)
    into.rates.append(load.rate)
    into.p50.append(load.percentile(50))


def report(measured: dict[str, Measured]) -> None:
    """Prints one line per kind.

    Ratios are medians over the rounds, each against the plain requests of the same round.
    """
    plain = measured["plain"]
    for kind, found in measured.items():
        rate, added = _ratio(found.rates, plain.rates), _difference(found.p50, plain.p50)
        click.echo(
            f"{kind:12} {statistics.median(found.rates):8.0f}/s ({rate:.3f} of plain)  "
            f"p50 {statistics.median(found.p50):.3f} ms ({added:+.3f})  "
            f"CPU {statistics.median(found.cpu) * 1e6:.1f} us a request, "
            f"{min(found.cpu) * 1e6:.1f} in the quietest round"
        )


def _ratio(found: list[float], plain: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(found, plain, strict=True))


def _difference(found: list[float], plain: list[float]) -> float:
    return statistics.median(a - b for a, b in zip(found, plain, strict=True))


if __name__ == "__main__":
    main()
