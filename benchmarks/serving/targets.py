"""What serving must reach, as ratios within one run. Pure functions of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.serving import actor, images
from benchmarks.serving.results import SWAPS, Cell, Measurement, Results, label, median, p99, rate

FRONT, GRPCIO = "policyd front", "policyd grpcio"
IMAGE, IMAGE_ON_HOST = "policyd image", "policyd image, host network"
TLS, ROLES = "policyd front TLS", "policyd front TLS, roles"
FRONT_X2, C_X2 = "policyd front x2", "C + ONNX Runtime x2"
C, C_ECHO = "C + ONNX Runtime", "C echo"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Target:
    """One claim: the measured figure, its bound, and whether it must be above or below."""

    claim: str
    value: float | None  # None: it was not measured
    bound: float
    at_least: bool = True
    failed: int = 0  # measurements that belong to it but gave no figure

    @property
    def met(self) -> bool | None:
        """Whether the figure keeps the bound; None if it was not measured, or not in every cell."""
        if self.value is None or self.failed:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def targets(results: Results) -> list[Target]:
    """Every claim that this run was to measure."""
    found = [
        *_against_triton(results),
        *_against_c(results),
        *_security(results),
        *_actor(results),
        *_images(results),
        *_tail_latency(results),
        *_against_mlserver(results),
        *_large_batches(results),
        *_memory(results),
        *_swaps(results),
    ]
    return [target for target in found if target.value is not None or target.failed]


def _against_triton(results: Results) -> Iterator[Target]:
    peer = "Triton dynamic batching"
    for ours in filter(results.kinds.__contains__, (FRONT, IMAGE, IMAGE_ON_HOST)):
        short = ours.removeprefix("policyd ")
        for cell, bound in ((Cell(1, 8), 4.0), (Cell(1, 32), 4.0), (Cell(64, 32), 3.0)):
            value = results.ratio(ours, peer, cell, rate)
            failed = results.failed((ours, peer), [label(cell)])
            yield Target(f"{short} / {peer}, requests/s, {label(cell)}", value, bound, failed=failed)


def _against_c(results: Results) -> Iterator[Target]:
    """Claims against the limit, which gives the same responses from C."""
    for c, ours in ((C, FRONT), (C_X2, FRONT_X2)):
        for cell in results.grid():
            value = results.ratio(c, ours, cell, rate)
            failed = results.failed((c, ours), [label(cell)])
            claim = f"{c} / {ours.removeprefix('policyd ')}, requests/s, {label(cell)}"
            yield Target(claim, value, 1.3, at_least=False, failed=failed)
    where, value, failed = _worst(results, FRONT, C, p99, max)
    yield Target(f"front / {C}, p99, worst cell{where}", value, 1.5, at_least=False, failed=failed)


def _security(results: Results) -> Iterator[Target]:
    """What TLS with roles costs: the server's CPU time per request, divided by that without."""
    where, value, failed = _worst(results, ROLES, FRONT, lambda m: m.cpu_per_1000, max)
    yield Target(
        f"TLS with roles / plain, CPU a request, worst cell{where}",
        value,
        1.25,
        at_least=False,
        failed=failed,
    )


def _actor(results: Results) -> Iterator[Target]:
    failed = results.failed([FRONT], [actor.PART])
    for way, other, bound in ((actor.UNARY, actor.IN_C, 1.5), (actor.STREAM, actor.UNARY, 1.0)):
        others = {m.round: m.p50_ms for m in results.actors if m.way == other}
        pairs = [m.p50_ms / others[m.round] for m in results.actors if m.way == way and m.round in others]
        value = median(pairs) if pairs else None
        yield Target(f"{way} / {other}, p50", value, bound, at_least=False, failed=failed)


def _images(results: Results) -> Iterator[Target]:
    for batch in images.BATCHES:
        pairs = [m.p50_ms / m.in_process_ms for m in results.images if m.batch == batch]
        failed = results.failed([FRONT], [images.part(batch)])
        value = median(pairs) if pairs else None
        yield Target(
            f"{images.part(batch)}: p50 served / in process", value, 1.5, at_least=False, failed=failed
        )


def _tail_latency(results: Results) -> Iterator[Target]:
    for peer in results.names("peer"):
        where, value, failed = _worst(results, FRONT, peer, p99, max)
        yield Target(f"front / {peer}, p99, worst cell{where}", value, 1.0, at_least=False, failed=failed)


def _against_mlserver(results: Results) -> Iterator[Target]:
    for ours in (FRONT, GRPCIO):
        where, value, failed = _worst(results, ours, "MLServer", rate, min)
        yield Target(f"{ours} / MLServer, requests/s, worst cell{where}", value, 3.0, failed=failed)


def _worst(
    results: Results,
    ours: str,
    other: str,
    value: Callable[[Measurement], float],
    worst: Callable[..., tuple[float, Cell]],
) -> tuple[str, float | None, int]:
    """The worst cell's ratio, its cell, and how many measurements are missing."""
    grid = results.grid()
    failed = results.failed((ours, other), [label(cell) for cell in grid])
    ratios = [(results.ratio(ours, other, cell, value), cell) for cell in grid]
    found = [(ratio, cell) for ratio, cell in ratios if ratio is not None]
    if not found:
        return "", None, failed
    ratio, cell = worst(found)
    return f": {label(cell)}", ratio, failed


def _large_batches(results: Results) -> Iterator[Target]:
    cell, own = Cell(1024, 1), median(results.onnxruntime_ms.get(1024, []))
    answers, wire = results.of(FRONT, cell), results.of(C_ECHO, cell)
    value = None
    if answers and wire:
        value = median(m.p50_ms for m in answers) / (own + median(m.p50_ms for m in wire))
    failed = results.failed((FRONT, C_ECHO), [label(cell)])
    claim = f"{FRONT}, 1,024 rows, p50 / (ONNX Runtime + wire)"
    yield Target(claim, value, 1.5, at_least=False, failed=failed)


def _memory(results: Results) -> Iterator[Target]:
    for ours in results.names("ours"):
        if results.memory.get(ours):
            largest = max(results.memory[ours]) / MEGABYTE
            yield Target(f"{ours}, peak MB of its largest process", largest, 120.0, at_least=False)


def _swaps(results: Results) -> Iterator[Target]:
    for ours in results.names("ours"):
        ratios = [m.p99_with_swaps_ms / m.p99_ms for m in results.swaps if m.contestant == ours]
        value = median(ratios) if ratios else None
        failed = results.failed([ours], [SWAPS])
        yield Target(f"{ours}, p99 during swaps / without", value, 2.0, at_least=False, failed=failed)
