"""What serving must reach, as ratios within one run. Pure functions of the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.serving.results import SWAPS, Measurement, Results, label, median, p99, rate

NATIVE, GRPCIO, GRPCIO_2 = "policyd native", "policyd grpcio", "policyd grpcio x2"
ECHO_OF = {NATIVE: "echo native", GRPCIO: "echo grpc.aio", GRPCIO_2: "echo grpc.aio x2"}
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Target:
    """One claim: the figure that came, the bound, and whether it must be above or below."""

    claim: str
    value: float | None  # None: nothing to take it from
    bound: float
    at_least: bool = True
    failed: int = 0  # measurements that should have been part of it and gave no figure

    @property
    def met(self) -> bool | None:
        """Whether the figure keeps the bound; None: not measured, or not all of it."""
        if self.value is None or self.failed:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def targets(results: Results) -> list[Target]:
    """Every claim that this run meant to measure."""
    found = [
        *_against_triton(results),
        *_against_echo(results),
        *_tail_latency(results),
        *_against_mlserver(results),
        *_large_batches(results),
        *_memory(results),
        *_swaps(results),
    ]
    return [target for target in found if target.value is not None or target.failed]


def _against_triton(results: Results) -> Iterator[Target]:
    peer = "Triton dynamic batching"
    for cell, bound in (((1, 32), 3.0), ((64, 32), 2.0)):
        value = results.ratio(NATIVE, peer, cell, rate)
        failed = results.failed((NATIVE, peer), [label(cell)])
        yield Target(f"native / {peer}, requests/s, {label(cell)}", value, bound, failed=failed)


def _against_echo(results: Results) -> Iterator[Target]:
    for ours, echo in ECHO_OF.items():
        for cell in (cell for cell in results.grid() if cell[0] == 1):
            value = results.ratio(ours, echo, cell, rate)
            failed = results.failed((ours, echo), [label(cell)])
            yield Target(f"{ours} / {echo}, requests/s, {label(cell)}", value, 0.75, failed=failed)


def _tail_latency(results: Results) -> Iterator[Target]:
    for peer in results.names("peer"):
        where, value, failed = _worst(results, NATIVE, peer, p99, max)
        yield Target(f"native / {peer}, p99, worst cell{where}", value, 1.0, at_least=False, failed=failed)


def _against_mlserver(results: Results) -> Iterator[Target]:
    for ours in (GRPCIO, GRPCIO_2):
        where, value, failed = _worst(results, ours, "MLServer", rate, min)
        yield Target(f"{ours} / MLServer, requests/s, worst cell{where}", value, 3.0, failed=failed)


def _worst(
    results: Results,
    ours: str,
    other: str,
    value: Callable[[Measurement], float],
    worst: Callable[..., tuple[float, tuple[int, int]]],
) -> tuple[str, float | None, int]:
    """The worst cell's ratio with the words for where it is, and how many measurements are missing."""
    grid = results.grid()
    failed = results.failed((ours, other), [label(cell) for cell in grid])
    ratios = [(results.ratio(ours, other, cell, value), cell) for cell in grid]
    found = [(ratio, cell) for ratio, cell in ratios if ratio is not None]
    if not found:
        return "", None, failed
    ratio, cell = worst(found)
    return f": {label(cell)}", ratio, failed


def _large_batches(results: Results) -> Iterator[Target]:
    own = median(results.onnxruntime_ms.get(1024, []))
    for ours, echo in ECHO_OF.items():
        answers, wire = results.of(ours, 1024, 1), results.of(echo, 1024, 1)
        value = None
        if answers and wire:
            value = median(m.p50_ms for m in answers) / (own + median(m.p50_ms for m in wire))
        failed = results.failed((ours, echo), [label((1024, 1))])
        claim = f"{ours}, 1,024 rows, p50 / (ONNX Runtime + wire)"
        yield Target(claim, value, 1.5, at_least=False, failed=failed)


def _memory(results: Results) -> Iterator[Target]:
    for ours in results.names("ours"):
        if results.memory.get(ours):
            largest = max(results.memory[ours]) / MEGABYTE
            yield Target(f"{ours}, peak MB of its largest process", largest, 150.0, at_least=False)


def _swaps(results: Results) -> Iterator[Target]:
    for ours in results.names("ours"):
        ratios = [m.p99_with_swaps_ms / m.p99_ms for m in results.swaps if m.contestant == ours]
        value = median(ratios) if ratios else None
        failed = results.failed([ours], [SWAPS])
        yield Target(f"{ours}, p99 during swaps / without", value, 2.0, at_least=False, failed=failed)
