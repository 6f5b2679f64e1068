"""Measures serving: `python -m benchmarks.serving`, or `make bench-serving`."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

import click

from benchmarks.serving import chart, processes, report
from benchmarks.serving.contestants import CHECKOUT, CONTESTANTS, available
from benchmarks.serving.measure import CELLS, Plan, run
from benchmarks.serving.results import Cell, label

STREAMS, IMAGES, ACTORS, TRAINING = "streams", "images", "actors", "training"
_CELL = re.compile(r"b(\d+) c=(\d+)(?: m=(\d+))?")


class CellType(click.ParamType[Cell]):
    """A cell in the notation of the tables: "b1 c=8" or "b1 c=8 m=32"."""

    name = "CELL"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Cell:
        """The cell. A wrong text is a usage error."""
        found = _CELL.fullmatch(str(value))
        numbers = [int(number) for number in found.groups("1")] if found else [0]
        if 0 in numbers:
            self.fail(f'{value!r} is no cell, expected "b1 c=8" or "b1 c=8 m=32"', param, ctx)
        return Cell(*numbers)


@click.command(context_settings={"show_default": True})
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(CONTESTANTS)),
    help="Repeatable. Default: all that this machine can run. The image needs a container engine.",
)
@click.option(
    "--cell",
    "cells",
    multiple=True,
    type=CellType(),
    default=[label(cell) for cell in CELLS],
    help="Rows, connections and requests in flight on each. Repeatable.",
)
@click.option("--runs", type=click.IntRange(1), default=8, help="Rounds through all cells.")
@click.option("--seconds", type=click.FloatRange(0.2), default=0.5, help="Length of one cell.")
@click.option(
    "--without",
    multiple=True,
    type=click.Choice([STREAMS, IMAGES, ACTORS, TRAINING]),
    help="Leaves out bidirectional streams, a policy for images, an actor's loop, latency beside a "
    "training job. Repeatable.",
)
@click.option("--swaps", type=click.IntRange(0), default=0, help="Rounds of 20 swaps under load.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=CHECKOUT / "benchmarks/results",
    help="Folder of the JSON, Markdown and PNG files.",
)
def main(
    only: tuple[str, ...],
    cells: tuple[Cell, ...],
    runs: int,
    seconds: float,
    without: tuple[str, ...],
    swaps: int,
    output: Path,
) -> None:
    """Measures policyd, also out of its image, servers in C (the limit), Triton and MLServer."""
    contestants, left_out = (only, "") if only else available()
    plan = Plan(
        contestants=contestants,
        cells=cells,
        runs=runs,
        seconds=seconds,
        streams=() if STREAMS in without else (1, 32),
        images=IMAGES not in without,
        actors=ACTORS not in without,
        training=TRAINING not in without,
        swap_rounds=swaps,
        left_out=left_out,
    )
    if left_out:
        print(f"left out: {left_out}", flush=True)
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
