"""A run's results as the Markdown that docs/notes/serving.md holds, and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.serving.results import Cell, Measurement, Results, label, median
from benchmarks.serving.targets import MEGABYTE, targets

VERDICTS = {True: "met", False: "not met", None: "not measured"}


def markdown(results: Results) -> str:
    """All tables of a run."""
    parts = [_environment(results)]
    if results.cells:
        parts += [_by_cell(results, title, text) for title, text in _QUANTITIES]
    if results.streams:
        parts.append(_streams(results))
    if results.actors:
        parts.append(_actors(results))
    if results.images:
        parts.append(_images(results))
    if results.training:
        parts.append(_training(results))
    if results.swaps:
        parts.append(_swaps(results))
    parts.append(_memory(results))
    if results.failures:
        parts.append(_failures(results))
    parts.append(_targets(results))
    return "\n\n".join(parts) + "\n"


def write_json(results: Results, path: Path) -> None:
    """Writes every measurement, and which targets are met."""
    judged = [
        {"claim": t.claim, "value": t.value, "bound": t.bound, "met": t.met, "failed": t.failed}
        for t in targets(results)
    ]
    path.write_text(json.dumps({**results.as_json(), "targets": judged}, indent=1))


def _environment(results: Results) -> str:
    lines = [f"- {name}: {_plainly(value)}" for name, value in results.environment.items()]
    times = [f"{median(ms) * 1e3:.0f} µs of {batch}" for batch, ms in sorted(results.onnxruntime_ms.items())]
    if times:
        lines.append(f"- ONNX Runtime itself, rows a call: {', '.join(times)}")
    if results.cells:
        others = [m.other_cores for m in results.cells]
        clients = [m.client_cores for m in results.cells]
        lines.append(
            f"- cores that other programs used: median {median(others):.2f}, at most {max(others):.2f}; "
            f"h2load: {median(clients):.2f}, at most {max(clients):.2f}"
        )
    return "\n".join(lines)


def _plainly(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(f"{number:.1f}" for number in value)
    return str(value)


def _rate(rounds: list[Measurement]) -> str:
    return _spread([m.rate for m in rounds])


def _latency(rounds: list[Measurement]) -> str:
    return f"{median(m.p50_ms for m in rounds):.2f} / {median(m.p99_ms for m in rounds):.2f}"


def _cpu(rounds: list[Measurement]) -> str:
    return f"{median(m.cpu_per_1000 for m in rounds) * 1e3:.0f}"


_QUANTITIES = (
    ("requests/s, median (min to max)", _rate),
    ("p50 / p99 ms", _latency),
    ("server's CPU µs a request", _cpu),
)


def _by_cell(results: Results, title: str, text: Callable[[list[Measurement]], str]) -> str:
    """A table with a row for each contestant and a column for each cell."""
    grid = results.grid()

    def entry(name: str, cell: Cell) -> str:
        rounds, failed = results.of(name, cell), results.failed([name], [label(cell)])
        if not failed:
            return text(rounds) if rounds else ""
        return f"{text(rounds)}, {failed} failed" if rounds else "failed"

    rows = [[name, *(entry(name, cell) for cell in grid)] for name in results.names()]
    return _table([title, *map(label, grid)], rows)


def _streams(results: Results) -> str:
    rows = []
    for name, in_flight in sorted({(m.contestant, m.in_flight) for m in results.streams}):
        rates = [m.rate for m in results.streams if (m.contestant, m.in_flight) == (name, in_flight)]
        rows.append([name, str(in_flight), _spread(rates)])
    return _table(["one stream, b1", "in flight", "answers/s, median (min to max)"], rows)


def _actors(results: Results) -> str:
    rows = []
    for way in dict.fromkeys(m.way for m in results.actors):
        rounds = [m for m in results.actors if m.way == way]
        rows.append([way, *(_times([getattr(m, name) for m in rounds]) for name in ("p50_ms", "p99_ms"))])
    return _table(["one actor, b1", "p50 ms, median (min to max)", "p99 ms"], rows)


def _images(results: Results) -> str:
    rows = []
    for name, batch in sorted({(m.contestant, m.batch) for m in results.images}):
        rounds = [m for m in results.images if (m.contestant, m.batch) == (name, batch)]
        served, alone = [m.p50_ms for m in rounds], [m.in_process_ms for m in rounds]
        rows.append([f"{name}, b{batch}", _times(served), _times(alone)])
    return _table(["84x84x4 uint8 image policy", "p50 ms served, median (min to max)", "in process"], rows)


def _training(results: Results) -> str:
    rows = []
    for connections in sorted({m.connections for m in results.training}):
        rounds = [m for m in results.training if m.connections == connections]
        values = [
            [getattr(m, name) for m in rounds]
            for name in ("p50_ms", "p50_beside_ms", "p99_ms", "p99_beside_ms")
        ]
        ratio = median(m.p99_beside_ms / m.p99_ms for m in rounds)
        rows.append([f"b1 c={connections}", *map(_times, values), f"{ratio:.2f}"])
    header = ["policyd front beside a training job", "p50 ms without", "beside", "p99 ms without", "beside"]
    return _table([*header, "ratio of p99"], rows)


def _swaps(results: Results) -> str:
    rows = [
        [m.contestant, str(m.round + 1), str(m.swaps)]
        + [f"{ms:.2f}" for ms in (m.p99_ms, m.p99_with_swaps_ms, m.worst_with_swaps_ms)]
        for m in results.swaps
    ]
    return _table(["swaps under load", "round", "swaps", "p99 ms without", "with", "worst ms with"], rows)


def _memory(results: Results) -> str:
    rows = [
        [name, ", ".join(f"{size / MEGABYTE:.0f}" for size in sorted(sizes, reverse=True))]
        for name, sizes in results.memory.items()
    ]
    return _table(["server", "peak resident MB of each process"], rows)


def _failures(results: Results) -> str:
    rows = [
        [f.contestant, f.part, str(f.round + 1), textwrap.shorten(f.reason, 110, placeholder=" ...")]
        for f in results.failures
    ]
    return _table(["gave no figure", "in", "round", "because"], rows)


def _targets(results: Results) -> str:
    rows = []
    for t in targets(results):
        measured = "" if t.value is None else f"{t.value:.2f}"
        if t.failed:
            measured += f" without {t.failed} that failed"
        wanted = f"at {'least' if t.at_least else 'most'} {t.bound:g}"
        rows.append([t.claim, measured.strip(), wanted, VERDICTS[t.met]])
    return _table(["target", "measured", "wanted", ""], rows)


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _times(values: Sequence[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
