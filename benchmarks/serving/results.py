"""What a run measured, as plain records, and the medians and paired ratios taken from them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

SWAPS = "swaps"  # the name of this part of a run, in `Failure`


class Cell(NamedTuple):
    """A load: rows per request, connections, and requests in flight on each connection."""

    batch: int
    connections: int
    in_flight: int = 1


@dataclass(frozen=True)
class Measurement:
    """One contestant in one cell of one round."""

    contestant: str
    cell: Cell
    round: int
    rate: float  # responses per second
    p50_ms: float
    p99_ms: float
    cpu_per_1000: float  # server's CPU seconds per 1,000 responses
    client_cores: float  # cores that h2load used
    other_cores: float  # cores that everything else on the machine used


@dataclass(frozen=True)
class StreamMeasurement:
    """One contestant's bidirectional stream with a number of requests in flight."""

    contestant: str
    in_flight: int
    round: int
    rate: float  # responses per second


@dataclass(frozen=True)
class ImageMeasurement:
    """The image policy: one client's requests, and the same rows in process."""

    contestant: str
    batch: int
    round: int
    p50_ms: float
    in_process_ms: float  # the median of ONNX Runtime's own calls, measured in the same round


@dataclass(frozen=True)
class ActorMeasurement:
    """One actor that waits for each action before it asks for the next."""

    way: str  # how it calls the server
    round: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class TrainingMeasurement:
    """Latency under load, without and beside a training job of the same machine."""

    connections: int
    round: int
    p50_ms: float
    p99_ms: float
    p50_beside_ms: float
    p99_beside_ms: float


@dataclass(frozen=True)
class SwapMeasurement:
    """Latency under load, without and with swaps of the version."""

    contestant: str
    round: int
    p99_ms: float
    p99_with_swaps_ms: float
    worst_with_swaps_ms: float
    swaps: int


@dataclass(frozen=True)
class Failure:
    """A measurement without a figure: no response came in time, or a wrong one."""

    contestant: str
    round: int
    part: str  # a cell's label, a stream, or swaps
    reason: str


@dataclass
class Results:
    """Everything of one run."""

    environment: dict[str, object] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  # contestant -> ours | limit | peer
    cells: list[Measurement] = field(default_factory=list)
    streams: list[StreamMeasurement] = field(default_factory=list)
    images: list[ImageMeasurement] = field(default_factory=list)
    actors: list[ActorMeasurement] = field(default_factory=list)
    training: list[TrainingMeasurement] = field(default_factory=list)
    swaps: list[SwapMeasurement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    memory: dict[str, list[int]] = field(default_factory=dict)  # peak bytes of each process
    onnxruntime_ms: dict[int, list[float]] = field(default_factory=dict)  # batch -> one median per round

    def names(self, kind: str | None = None) -> list[str]:
        """The names of the contestants, all or of one kind."""
        return [name for name, own in self.kinds.items() if kind in (None, own)]

    def grid(self) -> list[Cell]:
        """Every cell with a response: one request in flight first, then ascending."""
        return sorted({m.cell for m in self.cells}, key=lambda cell: (cell.in_flight, cell))

    def of(self, contestant: str, cell: Cell) -> list[Measurement]:
        """The rounds of one cell."""
        return [m for m in self.cells if (m.contestant, m.cell) == (contestant, cell)]

    def failed(self, names: Collection[str], parts: Collection[str]) -> int:
        """How many measurements of these contestants and parts of the run gave no figure."""
        return sum(f.contestant in names and f.part in parts for f in self.failures)

    def ratio(self, ours: str, other: str, cell: Cell, value: Callable[[Measurement], float]) -> float | None:
        """The median over the rounds of value(ours) / value(other), paired within each round.

        Rounds in which one of the two failed are left out. `failed` counts them.
        """
        others = {m.round: value(m) for m in self.of(other, cell)}
        pairs = [value(m) / others[m.round] for m in self.of(ours, cell) if m.round in others]
        return statistics.median(pairs) if pairs else None

    def as_json(self) -> dict[str, object]:
        """Plain data for a JSON file."""
        return asdict(self)


def label(cell: Cell) -> str:
    """The label of a cell in tables, where m is the number of requests in flight per connection."""
    more = f" m={cell.in_flight}" if cell.in_flight > 1 else ""
    return f"b{cell.batch} c={cell.connections}{more}"


def rate(measurement: Measurement) -> float:
    """Responses per second."""
    return measurement.rate


def p99(measurement: Measurement) -> float:
    """The 99th percentile of the latency, in ms."""
    return measurement.p99_ms


def median(values: Iterable[float]) -> float:
    """The median; NaN if there are no values."""
    found = list(values)
    return statistics.median(found) if found else float("nan")
