"""What shares and a shadow cost: the same server with and without them, in turn.

`python -m benchmarks.serving.splitting_cost`. Requests without a key are dealt one by one. Named
ones have a key; h2load repeats one message, so one version answers them all.
"""

from __future__ import annotations

import random
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.serving import h2load, processes
from benchmarks.serving.contestants import Contestant, Workplace, expected_by, ours, ready
from benchmarks.serving.policy import POLICY, publish
from benchmarks.serving.protocols import ACT
from benchmarks.serving.recording_cost import Measured, measure, message, record, report
from policy_api.v1.traffic_pb2 import TrafficShare
from policyd import PolicyClient
from policyd.repository import ModelRepository
from policyd.repository.records import MODEL

# The kind of request, the share of version 2, and the share of requests that it shadows.
KINDS = {
    "plain": ("plain", 0.0, 0.0),
    "split": ("plain", 0.3, 0.0),
    "shadow": ("plain", 0.0, 0.1),
    "named": ("named", 0.0, 0.0),
    "named, split": ("named", 0.3, 0.0),
}


@click.command(context_settings={"show_default": True})
@click.option("--rounds", type=click.IntRange(2), default=9, help="Of each kind.")
@click.option("--seconds", type=click.FloatRange(0.2), default=1.0, help="Of load a round.")
@click.option("--connections", type=click.IntRange(1), default=8, help="Each with one request.")
def main(rounds: int, seconds: float, connections: int) -> None:
    """Measure rate, latency and CPU time per request, against plain requests without shares."""
    processes.stop_in_order()
    h2load.install()
    with tempfile.TemporaryDirectory(prefix="policyd-bench-") as folder, ExitStack() as stack:
        repository = publish(Path(folder) / "repository")
        _publish_again(repository)
        model = repository.root / repository.read(POLICY, 1).path / MODEL
        place = Workplace(Path(folder), repository.root, model, expected_by(model.read_bytes()))
        start = ours("--workers", "1")
        running = start(Path(folder) / "server", place)
        stack.callback(running.stop)
        ready(Contestant("server", "ours", ACT, start), running, place, [1])
        record(running.address)
        client = stack.enter_context(PolicyClient(running.address))
        measured = {kind: Measured() for kind in KINDS}
        for _ in range(rounds):
            for kind in random.sample(list(KINDS), len(KINDS)):
                sent, share, shadowed = KINDS[kind]
                client.set_traffic(POLICY, [TrafficShare(version=2, share=share)] if share else [])
                client.set_shadow(POLICY, 2, shadowed)
                measure(measured[kind], running, message(sent, 1), connections, seconds)
    report(measured)


def _publish_again(repository: ModelRepository) -> None:
    """Publishes the same model again, as version 2."""
    first = repository.read(POLICY, 1)
    repository.publish(POLICY, {MODEL: repository.read_model(POLICY, 1)}, metadata=first.metadata)


if __name__ == "__main__":
    main()
