"""The run: all servers stand at once, and each cell is measured for all of them before the next."""

from __future__ import annotations

import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import grpc

from benchmarks.serving import h2load, processes, streaming, swaps
from benchmarks.serving.contestants import (
    CHECKOUT,
    CONTESTANTS,
    Contestant,
    Workplace,
    expected_by,
    own_session,
    ready,
)
from benchmarks.serving.policy import POLICY, observations, publish
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import InvalidAnswer
from benchmarks.serving.results import SWAPS, Failure, Measurement, Results, StreamMeasurement, label

WARM_UP_SECONDS = 0.3


@dataclass(frozen=True)
class Plan:
    """What to measure. Lists say which; `runs` rounds of cells of `seconds` each."""

    contestants: tuple[str, ...] = tuple(CONTESTANTS)
    batches: tuple[int, ...] = (1, 64, 1024)
    connections: tuple[int, ...] = (1, 8, 32)
    runs: int = 5
    seconds: float = 1.0
    in_flight: tuple[int, ...] = (1, 32)
    swap_rounds: int = 0


@dataclass
class Server:
    """A contestant that stands, and how many bytes its answers have."""

    contestant: Contestant
    running: Running
    answer_bytes: dict[int, int] = field(default_factory=dict)


def run(plan: Plan, folder: Path) -> Results:
    """Starts everything, measures round by round, stops everything."""
    h2load.install()
    results = Results(environment=_environment(plan))
    results.kinds = {name: CONTESTANTS[name].kind for name in plan.contestants}
    models = publish(folder / "repository")
    model = models.read_model(POLICY, 1)
    place = Workplace(folder, folder / "repository", models.read(POLICY, 1).model_path, expected_by(model))
    session = own_session(model)
    with _standing(plan, place) as servers:
        for number in range(plan.runs):
            _onnxruntime(session, plan, results)
            for batch in plan.batches:
                for connections in plan.connections:
                    for server in random.sample(servers, len(servers)):
                        with _noting(results, server, number, label((batch, connections))):
                            results.cells.append(_cell(server, batch, connections, number, plan.seconds))
            _streams(servers, number, plan, results)
            print(f"round {number + 1} of {plan.runs} done", flush=True)
        for number in range(plan.swap_rounds):
            _swaps(servers, number, results)
        for server in servers:
            results.memory[server.contestant.name] = sorted(server.running.peak_memory().values())
    results.environment["load average at the end"] = os.getloadavg()
    return results


@contextmanager
def _standing(plan: Plan, place: Workplace) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        servers = []
        for index, name in enumerate(plan.contestants):
            contestant = CONTESTANTS[name]
            print(f"starting {name}", flush=True)
            running = contestant.start(place.folder / str(index), place)
            stack.callback(running.stop)
            sizes = ready(contestant, running, place, sorted({1, *plan.batches}))
            servers.append(Server(contestant, running, sizes))
        yield servers


@contextmanager
def _noting(results: Results, server: Server, number: int, part: str) -> Iterator[None]:
    """A part of the run that fails is noted, and the run goes on."""
    try:
        yield
    except (InvalidAnswer, SubprocessError, grpc.RpcError, TimeoutError) as error:
        name = server.contestant.name
        results.failures.append(Failure(name, number, part, str(error) or type(error).__name__))
        print(f"{name}, {part}: {error}", flush=True)


def _cell(server: Server, batch: int, connections: int, number: int, seconds: float) -> Measurement:
    def load(duration: float) -> h2load.Load:
        return h2load.run(
            server.running.address,
            server.contestant.protocol.method,
            server.contestant.protocol.request(batch),
            connections=connections,
            seconds=duration,
            answer_bytes=server.answer_bytes[batch],
        )

    with suppress(h2load.NoAnswer):  # on a machine that is busy with other things
        load(WARM_UP_SECONDS)
    cpu, machine, started = server.running.cpu_seconds(), processes.machine_busy_seconds(), time.monotonic()
    done = load(seconds)
    elapsed = time.monotonic() - started
    used = server.running.cpu_seconds() - cpu
    others = processes.machine_busy_seconds() - machine - used - done.client_cpu_seconds
    return Measurement(
        contestant=server.contestant.name,
        batch=batch,
        connections=connections,
        round=number,
        rate=done.rate,
        p50_ms=done.percentile(50),
        p99_ms=done.percentile(99),
        cpu_per_1000=used / done.requests * 1000,
        client_cores=done.client_cpu_seconds / seconds,
        other_cores=max(0.0, others / elapsed),
    )


def _streams(servers: list[Server], number: int, plan: Plan, results: Results) -> None:
    for in_flight in plan.in_flight:
        for server in random.sample(servers, len(servers)):
            contestant = server.contestant
            if not _has_stream(contestant):
                continue
            with _noting(results, server, number, f"stream, {in_flight} in flight"):
                rate = streaming.answers_per_second(
                    server.running.address, contestant.protocol, in_flight=in_flight, seconds=plan.seconds
                )
                results.streams.append(StreamMeasurement(contestant.name, in_flight, number, rate))


def _has_stream(contestant: Contestant) -> bool:
    """The native front serves no bidirectional streams; MLServer streams only for runtimes that generate."""
    return contestant.name not in ("echo native", "MLServer")


def _swaps(servers: list[Server], number: int, results: Results) -> None:
    for server in servers:
        if server.contestant.kind == "ours":
            name, address, size = server.contestant.name, server.running.address, server.answer_bytes[1]
            with _noting(results, server, number, SWAPS):
                results.swaps.append(swaps.measure(name, address, size, number, swaps.SwapPlan()))


def _onnxruntime(session: Any, plan: Plan, results: Results) -> None:
    """Times the model alone in this process: one median a round and batch size."""
    for batch in plan.batches:
        rows = {"observations": observations(batch)}
        times = []
        for _ in range(300):
            started = time.perf_counter()
            session.run(None, rows)
            times.append(time.perf_counter() - started)
        results.onnxruntime_ms.setdefault(batch, []).append(statistics.median(times) * 1e3)


def _environment(plan: Plan) -> dict[str, object]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.strip()
    packages = ("grpcio", "onnxruntime", "pygrpc-native", "numpy", "protobuf")
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, {_cpu_model()}, Linux {platform.release()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
        "plan": f"{plan.runs} rounds, {plan.seconds:g} s a cell, one request in flight a connection",
        "load average at the start": os.getloadavg(),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
