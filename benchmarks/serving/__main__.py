"""Measures serving: `python -m benchmarks.serving`, or `make bench-serving`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from benchmarks.serving import chart, processes, report
from benchmarks.serving.contestants import CHECKOUT, CONTESTANTS
from benchmarks.serving.measure import Plan, run


@click.command(context_settings={"show_default": True})
@click.option("--only", multiple=True, type=click.Choice(list(CONTESTANTS)), help="Repeatable. Default: all.")
@click.option("--batch", "batches", multiple=True, type=int, default=(1, 64, 1024))
@click.option("--connections", multiple=True, type=int, default=(1, 8, 32))
@click.option("--runs", type=click.IntRange(1), default=5, help="Rounds through all cells.")
@click.option("--seconds", type=click.FloatRange(0.2), default=1.0, help="Length of one cell.")
@click.option("--streams/--no-streams", default=True, help="Also bidirectional streams.")
@click.option("--swaps", type=click.IntRange(0), default=0, help="Rounds of 20 swaps under load.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=CHECKOUT / "benchmarks/results",
    help="Folder of the JSON, Markdown and PNG files.",
)
def main(
    only: tuple[str, ...],
    batches: tuple[int, ...],
    connections: tuple[int, ...],
    runs: int,
    seconds: float,
    streams: bool,
    swaps: int,
    output: Path,
) -> None:
    """Measures policyd on both transports, bare echo servers (the limit), Triton and MLServer."""
    plan = Plan(
        contestants=only or tuple(CONTESTANTS),
        batches=batches,
        connections=connections,
        runs=runs,
        seconds=seconds,
        in_flight=(1, 32) if streams else (),
        swap_rounds=swaps,
    )
    processes.stop_in_order()
    with tempfile.TemporaryDirectory(prefix="policyd-bench-") as folder:
        results = run(plan, Path(folder))
    output.mkdir(parents=True, exist_ok=True)
    name = f"serving-{time.strftime('%Y%m%d-%H%M%S')}"
    report.write_json(results, output / f"{name}.json")
    text = report.markdown(results)
    (output / f"{name}.md").write_text(text)
    if results.cells:
        chart.draw(results, output / f"{name}.png")
    print(text)
    print(f"written: {output / name}.{{json,md,png}}")


if __name__ == "__main__":
    main()
