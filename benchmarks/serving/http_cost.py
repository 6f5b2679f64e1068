"""What HTTP costs beside gRPC, and beside Triton's HTTP.

`python -m benchmarks.serving.http_cost`. All servers run at the same time and are asked in turn, in
rounds, so that a busy moment of the machine meets all of them.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.serving import h2load, peers, processes
from benchmarks.serving.contestants import Contestant, Workplace, expected_by, ours, ready
from benchmarks.serving.h2load import Load
from benchmarks.serving.policy import OBSERVATION_SIZE, POLICY, observations, publish
from benchmarks.serving.processes import START_SECONDS, Running
from benchmarks.serving.protocols import ACT, InvalidAnswer
from policyd.repository.records import MODEL

INFER = f"/v2/models/{POLICY}/infer"
LENGTH = "Inference-Header-Content-Length"


@dataclass
class Cell:
    """One way to call a server, and the results of its rounds."""

    name: str
    running: Running
    load: Callable[[int, float], Load]  # takes connections and seconds
    rates: list[float] = field(default_factory=list)  # responses per second
    p50: list[float] = field(default_factory=list)  # milliseconds
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # seconds per request, over all of the server's processes

    def measure(self, connections: int, seconds: float) -> None:
        """Measures one round."""
        before = self.running.cpu_seconds()
        load = self.load(connections, seconds)
        self.cpu.append((self.running.cpu_seconds() - before) / load.requests)
        self.rates.append(load.rate)
        self.p50.append(load.percentile(50))
        self.p99.append(load.percentile(99))


@click.command(context_settings={"show_default": True})
@click.option("--rounds", type=click.IntRange(1), default=7)
@click.option("--seconds", type=click.FloatRange(0.2), default=1.0, help="Of load a round.")
@click.option("--connections", type=click.IntRange(1), default=8, help="Each with one request.")
@click.option("--rows", type=click.IntRange(1), default=1, help="Of each request.")
@click.option("--triton/--no-triton", default=True, help="Also Triton's HTTP (1 GB to install).")
def main(rounds: int, seconds: float, connections: int, rows: int, triton: bool) -> None:
    """Measure rate, latency and CPU time per request for each way to ask."""
    processes.stop_in_order()
    h2load.install()
    with tempfile.TemporaryDirectory(prefix="policyd-bench-") as folder, ExitStack() as stack:
        repository = publish(Path(folder) / "repository")
        model = repository.root / repository.read(POLICY, 1).path / MODEL
        place = Workplace(Path(folder), repository.root, model, expected_by(model.read_bytes()))
        cells = _own(place, rows, stack)
        if triton:
            cells += _triton(place, rows, stack)
        for _ in range(rounds):
            for cell in random.sample(cells, len(cells)):
                cell.measure(connections, seconds)
    report(cells)


def _own(place: Workplace, rows: int, stack: ExitStack) -> list[Cell]:
    """Our server: gRPC, and each form of HTTP."""
    start = ours("--workers", "1", "--http", "127.0.0.1:0")
    running = start(place.folder / "server", place)
    stack.callback(running.stop)
    size = ready(Contestant("server", "ours", ACT, start), running, place, [rows])[rows]
    found = re.search(r"HTTP on http://(\S+)", (place.folder / "server/log").read_text())
    assert found is not None
    running.http = found[1]

    def grpc(connections: int, seconds: float) -> Load:
        return h2load.run(
            running.url,
            ACT.method,
            ACT.request(rows),
            connections=connections,
            seconds=seconds,
            answer_bytes=size,
        )

    act = json.dumps({"observations": observations(rows).tolist(), "seed": 7}).encode()
    return [
        Cell("gRPC Act", running, grpc),
        _http_cell("HTTP :act, JSON", running, f"/v1/policies/{POLICY}:act", act, {}),
        *_infer_cells("HTTP infer", running, rows),
    ]


def _triton(place: Workplace, rows: int, stack: ExitStack) -> list[Cell]:
    running = peers.start_triton(place.folder / "triton", place.model, dynamic_batching=False)
    stack.callback(running.stop)
    return _infer_cells("Triton HTTP infer", running, rows)


def _infer_cells(name: str, running: Running, rows: int) -> list[Cell]:
    """The Open Inference Protocol with JSON, and with binary tensors in both directions."""
    tensor: dict[str, Any] = {
        "name": "observations",
        "datatype": "FP32",
        "shape": [rows, OBSERVATION_SIZE],
    }
    outputs = [{"name": "action_probs"}]
    numbers = observations(rows).ravel()
    plain = json.dumps({"inputs": [{**tensor, "data": numbers.tolist()}], "outputs": outputs}).encode()
    raw = numbers.tobytes()
    tensor["parameters"] = {"binary_data_size": len(raw)}
    binary = [{**outputs[0], "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": binary}).encode()
    return [
        _http_cell(f"{name}, JSON", running, INFER, plain, {}),
        _http_cell(f"{name}, binary", running, INFER, head + raw, {LENGTH: str(len(head))}),
    ]


def _http_cell(name: str, running: Running, path: str, body: bytes, headers: Mapping[str, str]) -> Cell:
    """A cell that sends the same body again and again. It looks up the response's size once."""
    size = len(_first_answer(running, path, body, headers))

    def load(connections: int, seconds: float) -> Load:
        return h2load.run_http(
            running.http,
            path,
            body,
            headers,
            connections=connections,
            seconds=seconds,
            answer_bytes=size,
        )

    return Cell(name, running, load)


def _first_answer(running: Running, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """The first response, as soon as the server sends one."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        connection = http.client.HTTPConnection(running.http, timeout=10)
        try:
            connection.request("POST", path, body, dict(headers))
            response = connection.getresponse()
            answer = response.read()
            if response.status == 200:
                return answer
            problem = f"{response.status}: {answer[:500]!r}"
        except OSError as error:
            problem = str(error)
        finally:
            connection.close()
        if running.exited() or time.monotonic() > deadline:
            raise InvalidAnswer(f"{path}: {problem}")
        time.sleep(0.2)  # servers of others have no event to wait for


def report(cells: list[Cell]) -> None:
    """One line per cell. Ratios are medians over rounds, each against gRPC in the same round."""
    for cell in cells:
        ratio = statistics.median(a / b for a, b in zip(cell.rates, cells[0].rates, strict=True))
        click.echo(
            f"{cell.name:26} {statistics.median(cell.rates):8.0f}/s ({ratio:.3f} of gRPC)  "
            f"p50 {statistics.median(cell.p50):.2f} ms  p99 {statistics.median(cell.p99):.2f} ms  "
            f"CPU {statistics.median(cell.cpu) * 1e6:.0f} us a request"
        )


if __name__ == "__main__":
    main()
