"""The run: all servers stand at once, and each cell is measured for all of them before the next."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import grpc

from benchmarks.serving import actor, environment, h2load, images, processes, streaming, swaps, training
from benchmarks.serving.contestants import (
    CHECKOUT,
    CONTESTANTS,
    Workplace,
    expected_by,
    ours,
    own_session,
)
from benchmarks.serving.policy import POLICY, observations, publish
from benchmarks.serving.protocols import InvalidAnswer
from benchmarks.serving.results import SWAPS, Cell, Failure, Measurement, Results, StreamMeasurement, label
from benchmarks.serving.servers import Server, standing
from benchmarks.serving.targets import FRONT
from policyd.errors import PolicydError
from policyd.repository import ModelRepository
from policyd.repository.records import MODEL

WARM_UP_SECONDS = 0.3
# Few and many connections, small and large requests, and many requests in flight on a connection.
CELLS = (Cell(1, 1), Cell(1, 8), Cell(1, 32), Cell(64, 32), Cell(1024, 8), Cell(1, 8, 32))


@dataclass(frozen=True)
class Plan:
    """What to measure: `runs` rounds, where each cell takes `seconds`."""

    contestants: tuple[str, ...] = tuple(CONTESTANTS)
    cells: tuple[Cell, ...] = CELLS
    runs: int = 8
    seconds: float = 0.5
    streams: tuple[int, ...] = (1, 32)  # requests in flight
    images: bool = True
    actors: bool = True
    training: bool = True
    swap_rounds: int = 0
    left_out: str = ""  # contestants that this machine cannot run, and why

    @property
    def batches(self) -> list[int]:
        """The batch sizes of all cells, and 1."""
        return sorted({1, *(cell.batch for cell in self.cells)})


def run(plan: Plan, folder: Path) -> Results:
    """Starts everything, measures round by round, stops everything."""
    h2load.install()
    results = Results(environment=environment.described(CHECKOUT))
    results.environment["plan"] = f"{plan.runs} rounds, {plan.seconds:g} s a cell"
    if plan.left_out:
        results.environment["left out"] = plan.left_out
    results.kinds = {name: CONTESTANTS[name].kind for name in plan.contestants}
    models = publish(folder / "repository")
    model = models.read_model(POLICY, 1)
    place = Workplace(
        folder, folder / "repository", models.root / models.read(POLICY, 1).path / MODEL, expected_by(model)
    )
    session = own_session(model)
    with (
        standing(plan.contestants, plan.batches, place) as servers,
        _images(plan, place, results) as measure_images,
        _training(plan, place, results) as measure_training,
    ):
        for number in range(plan.runs):
            _onnxruntime(session, plan, results)
            for cell in plan.cells:
                for server in random.sample(servers, len(servers)):
                    with _noting(results, server.contestant.name, number, label(cell)):
                        server.restart_if_ended()
                        results.cells.append(_repeated_if_ended(server, cell, number, plan.seconds))
            _streams(servers, number, plan, results)
            _actors(servers, number, plan, results)
            measure_images(number)
            measure_training(servers, number)
            print(f"round {number + 1} of {plan.runs} done", flush=True)
        for number in range(plan.swap_rounds):
            _swaps(servers, number, results)
        for server in servers:
            results.memory[server.contestant.name] = sorted(server.running.peak_memory().values())
    results.environment["load average at the end"] = os.getloadavg()
    if ended := {s.contestant.name: s.restarts for s in servers if s.restarts}:
        counts = (f"{name} ({count})" for name, count in ended.items())
        results.environment["ended by itself and was started again"] = ", ".join(counts)
    return results


@contextmanager
def _images(plan: Plan, place: Workplace, results: Results) -> Iterator[Callable[[int], None]]:
    """Yields the measurement of one round of the image policy.

    The image policy has a server of its own, because memory is measured.
    """
    if not plan.images:
        yield lambda _: None
        return
    repository = ModelRepository(place.folder / "images")
    session = own_session(images.publish(repository))
    its_place = replace(place, repository=repository.root)
    running = ours("--transport", "front", "--workers", "1")(place.folder / "image-server", its_place)

    def measure(number: int) -> None:
        for batch in images.BATCHES:
            with _noting(results, FRONT, number, images.part(batch)):
                measured = images.measure(FRONT, running, session, batch, number, plan.seconds)
                results.images.append(measured)

    try:
        yield measure
    finally:
        running.stop()


@contextmanager
def _training(
    plan: Plan, place: Workplace, results: Results
) -> Iterator[Callable[[list[Server], int], None]]:
    """Yields the measurement of one round beside a training job."""
    if not plan.training:
        yield lambda _servers, _number: None
        return
    trainer = training.start_trainer(place.folder / "trainer")

    def measure(servers: list[Server], number: int) -> None:
        for server in servers:
            if server.contestant.name == FRONT:
                with _noting(results, FRONT, number, training.PART):
                    size = server.answer_bytes[1]
                    results.training += training.measure(server.running, trainer, size, number, plan.seconds)

    try:
        yield measure
    finally:
        trainer.stop()


@contextmanager
def _noting(results: Results, name: str, number: int, part: str) -> Iterator[None]:
    """Notes that a part of the run failed, and the run goes on."""
    try:
        yield
    except (InvalidAnswer, SubprocessError, grpc.RpcError, PolicydError, TimeoutError) as error:
        results.failures.append(Failure(name, number, part, str(error) or type(error).__name__))
        print(f"{name}, {part}: {error}", flush=True)


def _repeated_if_ended(server: Server, cell: Cell, number: int, seconds: float) -> Measurement:
    """Measures a cell, again if a peer has ended meanwhile."""
    try:
        return _cell(server, cell, number, seconds)
    except InvalidAnswer:
        if not server.restart_if_ended():
            raise
        return _cell(server, cell, number, seconds)


def _cell(server: Server, cell: Cell, number: int, seconds: float) -> Measurement:
    def load(duration: float) -> h2load.Load:
        return h2load.run(
            server.running.url,
            server.contestant.protocol.method,
            server.contestant.protocol.request(cell.batch),
            connections=cell.connections,
            in_flight=cell.in_flight,
            seconds=duration,
            answer_bytes=server.answer_bytes[cell.batch],
            headers=server.running.headers,
        )

    with suppress(h2load.NoAnswer):  # happens on a machine that is busy with other things
        load(WARM_UP_SECONDS)
    cpu, machine, started = server.running.cpu_seconds(), processes.machine_busy_seconds(), time.monotonic()
    done = load(seconds)
    elapsed = time.monotonic() - started
    used = server.running.cpu_seconds() - cpu
    others = processes.machine_busy_seconds() - machine - used - done.client_cpu_seconds
    return Measurement(
        contestant=server.contestant.name,
        cell=cell,
        round=number,
        rate=done.rate,
        p50_ms=done.percentile(50),
        p99_ms=done.percentile(99),
        cpu_per_1000=used / done.requests * 1000,
        client_cores=done.client_cpu_seconds / seconds,
        other_cores=max(0.0, others / elapsed),
    )


def _streams(servers: list[Server], number: int, plan: Plan, results: Results) -> None:
    for in_flight in plan.streams:
        for server in random.sample(servers, len(servers)):
            contestant = server.contestant
            if not _has_stream(server):
                continue
            with _noting(results, contestant.name, number, f"stream, {in_flight} in flight"):
                server.restart_if_ended()
                rate = streaming.answers_per_second(
                    server.running.address, contestant.protocol, in_flight=in_flight, seconds=plan.seconds
                )
                results.streams.append(StreamMeasurement(contestant.name, in_flight, number, rate))


def _has_stream(server: Server) -> bool:
    """Whether the server streams. The limits do not; MLServer streams only generated text."""
    contestant = server.contestant
    return server.is_plain and contestant.kind != "limit" and contestant.name != "MLServer"


def _actors(servers: list[Server], number: int, plan: Plan, results: Results) -> None:
    for server in servers:
        if plan.actors and server.contestant.name == FRONT:
            with _noting(results, FRONT, number, actor.PART):
                results.actors += actor.measure(server.running, server.answer_bytes[1], number, plan.seconds)


def _swaps(servers: list[Server], number: int, results: Results) -> None:
    for server in servers:
        if server.contestant.kind == "ours" and server.is_plain:
            name, running, size = server.contestant.name, server.running, server.answer_bytes[1]
            with _noting(results, name, number, SWAPS):
                results.swaps.append(swaps.measure(name, running, size, number, swaps.SwapPlan()))


def _onnxruntime(session: Any, plan: Plan, results: Results) -> None:
    """Times the model alone in this process: one median per round and batch size."""
    for batch in plan.batches:
        rows = {"observations": observations(batch)}
        times = []
        for _ in range(300):
            started = time.perf_counter()
            session.run(None, rows)
            times.append(time.perf_counter() - started)
        results.onnxruntime_ms.setdefault(batch, []).append(statistics.median(times) * 1e3)
