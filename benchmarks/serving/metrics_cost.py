"""What measuring costs: one server with metrics and one without, loaded in turn.

`python -m benchmarks.serving.metrics_cost`. CPU time a request bears other load better than latency
does.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.serving import h2load, processes
from benchmarks.serving.contestants import Contestant, Workplace, expected_by, ours, ready
from benchmarks.serving.policy import POLICY, publish
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import ACT
from policyd.repository.records import MODEL

WITH = ("--metrics", "127.0.0.1:0")


@click.command(context_settings={"show_default": True})
@click.option("--transport", type=click.Choice(["front", "grpcio"]), default="front")
@click.option("--rounds", type=click.IntRange(2), default=15, help="With and without, each.")
@click.option("--seconds", type=click.FloatRange(0.2), default=1.0, help="Of load a round.")
@click.option("--connections", type=click.IntRange(1), default=8, help="Each with one request of one row.")
def main(transport: str, rounds: int, seconds: float, connections: int) -> None:
    """Measure the server's CPU time per request with metrics, divided by that without.

    Prints the median and the quartiles over the rounds.
    """
    processes.stop_in_order()
    h2load.install()
    with tempfile.TemporaryDirectory(prefix="policyd-bench-") as folder, ExitStack() as stack:
        repository = publish(Path(folder) / "repository")
        model = repository.root / repository.read(POLICY, 1).path / MODEL
        place = Workplace(Path(folder), repository.root, model, expected_by(model.read_bytes()))
        servers = []
        for name, flags in (("with", WITH), ("without", ())):
            start = ours("--transport", transport, "--workers", "1", *flags)
            running = start(Path(folder) / name, place)
            stack.callback(running.stop)
            servers.append((running, ready(Contestant(name, "ours", ACT, start), running, place, [1])[1]))
        ratios, used = [], []
        for _ in range(rounds):
            order = random.sample(range(2), 2)
            cost = dict(sorted((i, _cost(*servers[i], connections, seconds)) for i in order))
            ratios.append(cost[0] / cost[1])
            used.append(cost[1])
    low, middle, high = statistics.quantiles(ratios, n=4)
    click.echo(
        f"{transport}: {middle:.3f} times the CPU time a request (quartiles of {rounds} rounds {low:.3f} to "
        f"{high:.3f}); without metrics {statistics.median(used) * 1e6:.0f} us"
    )


def _cost(running: Running, answer_bytes: int, connections: int, seconds: float) -> float:
    """CPU seconds per request."""
    before = running.cpu_seconds()
    load = h2load.act(running.url, answer_bytes, connections, seconds)
    return (running.cpu_seconds() - before) / load.requests


if __name__ == "__main__":
    main()
