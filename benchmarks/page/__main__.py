"""Measures Act's p99 with and without open pages, in turn: `python -m benchmarks.page`."""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.serving.policy import observations, publish
from benchmarks.serving.processes import Running, free_port, start
from policyd import PolicyClient

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
RATE = 200.0  # requests per second, far fewer than a core can serve


def main() -> None:
    """Prints each round, the medians and the ratio of the p99s."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as (server, port):
        ratios = []
        for number in range(arguments.rounds):
            without = _measured(server, arguments.seconds)
            with _open_pages(port, arguments.pages) as received:
                beside = _measured(server, arguments.seconds)
            ratios.append(beside[1] / without[1])
            print(
                f"round {number + 1}: p50/p99 without pages {without[0]:.2f}/{without[1]:.2f} ms,"
                f" with {arguments.pages} pages {beside[0]:.2f}/{beside[1]:.2f} ms,"
                f" ratio of p99 {ratios[-1]:.2f};"
                f" the server took {without[2]:.2f} and {beside[2]:.2f} s of CPU,"
                f" the pages received {received[0]:,} bytes"
            )
    print(f"median ratio of p99: {statistics.median(ratios):.3f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=200, help="event streams open at a time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    return parser.parse_args()


@contextmanager
def _server(folder: Path) -> Iterator[tuple[Running, int]]:
    """Runs one worker with metrics and a page."""
    publish(folder / "repository")
    grpc, http, metrics = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "policyd_server", "--repository", str(folder / "repository")]
    command += ["--listen", f"127.0.0.1:{grpc}", "--http", f"127.0.0.1:{http}", "--workers", "1"]
    command += ["--metrics", f"127.0.0.1:{metrics}"]
    running = start([command], log=folder / "server.log", cwd=ROOT)
    try:
        for port in (grpc, http):
            _await_port(port)
        running.address = f"127.0.0.1:{grpc}"
        yield running, http
    finally:
        running.stop()


def _await_port(port: int) -> None:
    """Waits until something listens on the port."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)  # another process's port: there is no event to wait for
        else:
            return


def _measured(server: Running, seconds: float) -> tuple[float, float, float]:
    """Measures requests for one action at a steady rate.

    Returns p50 and p99 in ms, and the CPU seconds of the server.
    """
    row = observations(1)
    taken: list[float] = []
    with PolicyClient(server.address) as client:
        policy = client.list_policies(timeout=START_SECONDS)[0].name
        for _ in range(50):
            client.act(row, policy=policy)
        busy, began = server.cpu_seconds(), time.perf_counter()
        for number in range(int(seconds * RATE)):
            time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            sent = time.perf_counter()
            client.act(row, policy=policy)
            taken.append(1000 * (time.perf_counter() - sent))
        busy = server.cpu_seconds() - busy
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99)), busy


@contextmanager
def _open_pages(port: int, pages: int) -> Iterator[list[int]]:
    """Holds open the event streams of the section Now, as that many visible tabs do."""
    command = [sys.executable, "-m", "benchmarks.page.readers", str(port), str(pages)]
    received = [0]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as readers:
        assert readers.stdin is not None
        assert readers.stdout is not None
        readers.stdout.readline()  # all streams have sent something
        yield received
        readers.stdin.close()
        received[0] = int(readers.stdout.readline())


if __name__ == "__main__":
    main()
