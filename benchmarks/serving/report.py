"""Prints a run's results as Markdown and writes them as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.serving.results import Measurement, Results, median
from benchmarks.serving.targets import MEGABYTE, targets


def markdown(results: Results) -> str:
    """All tables of a run."""
    parts = [_environment(results)]
    if results.cells:
        parts.append(_cells(results))
    if results.streams:
        parts.append(_streams(results))
    if results.swaps:
        parts.append(_swaps(results))
    parts += [_memory(results), _targets(results)]
    return "\n\n".join(parts) + "\n"


def write_json(results: Results, path: Path) -> None:
    """Every measurement, and the targets judged from them."""
    judged = [{"claim": t.claim, "value": t.value, "bound": t.bound, "met": t.met} for t in targets(results)]
    path.write_text(json.dumps({**results.as_json(), "targets": judged}, indent=1))


def _environment(results: Results) -> str:
    lines = [f"- {name}: {value}" for name, value in results.environment.items()]
    for batch, times in sorted(results.onnxruntime_ms.items()):
        lines.append(f"- ONNX Runtime itself, batch {batch}: {median(times) * 1e3:.0f} µs")
    if results.cells:
        others = [m.other_cores for m in results.cells]
        clients = [m.client_cores for m in results.cells]
        lines.append(
            f"- cores that other programs used: median {median(others):.2f}, at most {max(others):.2f}"
        )
        lines.append(f"- cores that h2load used: median {median(clients):.2f}, at most {max(clients):.2f}")
    return "\n".join(lines)


def _cells(results: Results) -> str:
    rows = ["| batch | connections | server | requests/s (min to max) | p50 ms | p99 ms | CPU s / 1,000 |"]
    rows.append("|---|---|---|---|---|---|---|")
    for batch, connections in results.grid():
        for name in results.names():
            rounds = results.of(name, batch, connections)
            if rounds:
                rows.append(f"| {batch} | {connections} | {name} | {_figures(rounds)} |")
    return "\n".join(rows)


def _figures(rounds: list[Measurement]) -> str:
    rates = [m.rate for m in rounds]
    return (
        f"{median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
        f"| {median(m.p50_ms for m in rounds):.2f} | {median(m.p99_ms for m in rounds):.2f} "
        f"| {median(m.cpu_per_1000 for m in rounds):.3f}"
    )


def _streams(results: Results) -> str:
    rows = ["| stream, batch 1 | in flight | answers/s (min to max) |", "|---|---|---|"]
    for name, in_flight in sorted({(m.contestant, m.in_flight) for m in results.streams}):
        rates = [m.rate for m in results.streams if (m.contestant, m.in_flight) == (name, in_flight)]
        rows.append(
            f"| {name} | {in_flight} | {median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) |"
        )
    return "\n".join(rows)


def _swaps(results: Results) -> str:
    rows = ["| swaps under load | round | swaps | p99 ms without | p99 ms with | worst ms with |"]
    rows.append("|---|---|---|---|---|---|")
    rows += [
        f"| {m.contestant} | {m.round} | {m.swaps} | {m.p99_ms:.2f} "
        f"| {m.p99_with_swaps_ms:.2f} | {m.worst_with_swaps_ms:.2f} |"
        for m in results.swaps
    ]
    return "\n".join(rows)


def _memory(results: Results) -> str:
    rows = ["| server | peak resident MB of each process |", "|---|---|"]
    for name, sizes in results.memory.items():
        rows.append(
            f"| {name} | {', '.join(f'{size / MEGABYTE:.0f}' for size in sorted(sizes, reverse=True))} |"
        )
    return "\n".join(rows)


def _targets(results: Results) -> str:
    rows = ["| target | measured | wanted | |", "|---|---|---|---|"]
    for t in targets(results):
        sign = "at least" if t.at_least else "at most"
        rows.append(f"| {t.claim} | {t.value:.2f} | {sign} {t.bound:g} | {'met' if t.met else 'NOT MET'} |")
    return "\n".join(rows)
