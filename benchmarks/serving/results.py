"""What a run measured, as plain records, and the medians and paired ratios taken from them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, field

SWAPS = "swaps"  # the part of a run, in `Failure`


@dataclass(frozen=True)
class Measurement:
    """One contestant in one cell of one round."""

    contestant: str
    batch: int
    connections: int
    round: int
    rate: float  # answers a second
    p50_ms: float
    p99_ms: float
    cpu_per_1000: float  # server's CPU seconds per 1,000 answers
    client_cores: float  # h2load
    other_cores: float  # everything else on the machine


@dataclass(frozen=True)
class StreamMeasurement:
    """One contestant's bidirectional stream with a number of requests in flight."""

    contestant: str
    in_flight: int
    round: int
    rate: float  # answers a second


@dataclass(frozen=True)
class SwapMeasurement:
    """Latency under load without and with versions being swapped."""

    contestant: str
    round: int
    p99_ms: float
    p99_with_swaps_ms: float
    worst_with_swaps_ms: float
    swaps: int


@dataclass(frozen=True)
class Failure:
    """A measurement that gave no figure: nothing came in its time, or not an answer."""

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
    swaps: list[SwapMeasurement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    memory: dict[str, list[int]] = field(default_factory=dict)  # peak bytes of each process
    onnxruntime_ms: dict[int, list[float]] = field(default_factory=dict)  # batch -> one median a round

    def names(self, kind: str | None = None) -> list[str]:
        """Contestants, of one kind where it is given."""
        return [name for name, own in self.kinds.items() if kind in (None, own)]

    def grid(self) -> list[tuple[int, int]]:
        """(batch, connections) of every cell that anybody answered in, ascending."""
        return sorted({(m.batch, m.connections) for m in self.cells})

    def of(self, contestant: str, batch: int, connections: int) -> list[Measurement]:
        """The rounds of one cell."""
        wanted = (contestant, batch, connections)
        return [m for m in self.cells if (m.contestant, m.batch, m.connections) == wanted]

    def failed(self, names: Collection[str], parts: Collection[str]) -> int:
        """How many measurements of these contestants and these parts of the run gave no figure."""
        return sum(f.contestant in names and f.part in parts for f in self.failures)

    def ratio(
        self, ours: str, other: str, cell: tuple[int, int], value: Callable[[Measurement], float]
    ) -> float | None:
        """Median over the rounds of value(ours) / value(other), each pair measured in the same round.

        Rounds in which one of them failed are left out; `failed` counts them.
        """
        others = {m.round: value(m) for m in self.of(other, *cell)}
        pairs = [value(m) / others[m.round] for m in self.of(ours, *cell) if m.round in others]
        return statistics.median(pairs) if pairs else None

    def as_json(self) -> dict[str, object]:
        """Plain data for a JSON file."""
        return asdict(self)


def label(cell: tuple[int, int]) -> str:
    """How (batch, connections) is called in tables."""
    return f"b{cell[0]} c={cell[1]}"


def rate(measurement: Measurement) -> float:
    """Answers a second."""
    return measurement.rate


def p99(measurement: Measurement) -> float:
    """99th percentile of the latency, ms."""
    return measurement.p99_ms


def median(values: Iterable[float]) -> float:
    """The median; NaN of nothing."""
    found = list(values)
    return statistics.median(found) if found else float("nan")
