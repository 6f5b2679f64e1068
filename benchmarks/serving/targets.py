"""What serving must reach, as ratios within one run. Pure functions of the results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.serving.results import Results, median, p99, rate

NATIVE, GRPCIO, GRPCIO_2 = "policyd native", "policyd grpcio", "policyd grpcio x2"
ECHO_OF = {NATIVE: "echo native", GRPCIO: "echo grpc.aio", GRPCIO_2: "echo grpc.aio x2"}
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Target:
    """One claim: the figure that came, the bound, and whether it must be above or below."""

    claim: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether the figure keeps the bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def targets(results: Results) -> list[Target]:
    """Every claim that this run has measurements for."""
    return [
        *_against_triton(results),
        *_against_echo(results),
        *_tail_latency(results),
        *_against_mlserver(results),
        *_large_batches(results),
        *_memory(results),
        *_swaps(results),
    ]


def _against_triton(results: Results) -> Iterator[Target]:
    for cell, bound in (((1, 32), 3.0), ((64, 32), 2.0)):
        value = results.ratio(NATIVE, "Triton dynamic batching", cell, rate)
        if value is not None:
            yield Target(f"native / Triton dynamic batching, requests/s, {_cell(cell)}", value, bound)


def _against_echo(results: Results) -> Iterator[Target]:
    for ours, echo in ECHO_OF.items():
        for cell in results.grid():
            value = results.ratio(ours, echo, cell, rate) if cell[0] == 1 else None
            if value is not None:
                yield Target(f"{ours} / {echo}, requests/s, {_cell(cell)}", value, 0.75)


def _tail_latency(results: Results) -> Iterator[Target]:
    for peer in results.names("peer"):
        ratios = {cell: results.ratio(NATIVE, peer, cell, p99) for cell in results.grid()}
        found = {cell: value for cell, value in ratios.items() if value is not None}
        if found:
            worst = max(found, key=lambda cell: found[cell])
            yield Target(f"native / {peer}, p99, worst cell: {_cell(worst)}", found[worst], 1.0, False)


def _against_mlserver(results: Results) -> Iterator[Target]:
    for ours in (GRPCIO, GRPCIO_2):
        ratios = {cell: results.ratio(ours, "MLServer", cell, rate) for cell in results.grid()}
        found = {cell: value for cell, value in ratios.items() if value is not None}
        if found:
            worst = min(found, key=lambda cell: found[cell])
            yield Target(f"{ours} / MLServer, requests/s, worst cell: {_cell(worst)}", found[worst], 3.0)


def _large_batches(results: Results) -> Iterator[Target]:
    own = median(results.onnxruntime_ms.get(1024, []))
    for ours, echo in ECHO_OF.items():
        answers, wire = results.of(ours, 1024, 1), results.of(echo, 1024, 1)
        if answers and wire:
            limit = own + median(m.p50_ms for m in wire)
            value = median(m.p50_ms for m in answers) / limit
            yield Target(f"{ours}, 1,024 rows, p50 / (ONNX Runtime + wire)", value, 1.5, False)


def _memory(results: Results) -> Iterator[Target]:
    for ours in results.names("ours"):
        if results.memory.get(ours):
            largest = max(results.memory[ours]) / MEGABYTE
            yield Target(f"{ours}, peak MB of its largest process", largest, 150.0, False)


def _swaps(results: Results) -> Iterator[Target]:
    for ours in results.names("ours"):
        ratios = [m.p99_with_swaps_ms / m.p99_ms for m in results.swaps if m.contestant == ours]
        if ratios:
            yield Target(f"{ours}, p99 during swaps / without", median(ratios), 2.0, False)


def _cell(cell: tuple[int, int]) -> str:
    return f"b{cell[0]} c={cell[1]}"
