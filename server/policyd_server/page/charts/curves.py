"""Lines over a common horizontal axis: learning curves of versions, a job's return as it learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from policyd.axes import Scale, short
from policyd_server.page.charts.drawing import Drawing

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 260, 58, 16, 12, 44
LEGEND_ROW = 18
COLOURS = 6  # classes `series-0` to `series-5`
MOST_POINTS = 400  # points of one line; more would fall on the same pixels


@dataclass(frozen=True)
class Series:
    """A line: its points in the order of x."""

    name: str
    points: Sequence[tuple[float, float]]


def curves(series: Sequence[Series], axes: tuple[str, str], label: str) -> Markup:
    """Returns the lines with a legend below. `axes`: horizontal and vertical name."""
    floor = HEIGHT - BOTTOM
    drawing = Drawing(WIDTH, HEIGHT + LEGEND_ROW * ((len(series) + 1) // 2), label)
    xs = [x for line in series for x, _ in line.points]
    across = Scale.over(xs, LEFT, WIDTH - RIGHT, margin=0.0)
    up = Scale.over([y for line in series for _, y in line.points], floor, TOP)
    for tick in up.ticks():
        drawing.line(LEFT, up.at(tick), WIDTH - RIGHT, up.at(tick), "grid")
        drawing.text(LEFT - 8, up.at(tick) + 4, short(tick), anchor="end")
    for tick in across.ticks():
        drawing.text(across.at(tick), floor + 16, short(tick), anchor="middle")
    for number, line in enumerate(series):
        kind = f"series-{number % COLOURS}"
        placed = [(across.at(x), up.at(y)) for x, y in thinned(line.points)]
        drawing.path(placed, f"line {kind}")
        if len(placed) == 1:
            drawing.dot(*placed[0], f"mean {kind}")
        _legend(drawing, number, kind, line.name)
    drawing.text((LEFT + WIDTH - RIGHT) / 2, floor + 34, axes[0], "axis", "middle")
    drawing.text(4, TOP - 1, axes[1], "axis")
    return drawing.markup()


def _legend(drawing: Drawing, number: int, kind: str, name: str) -> None:
    x, y = LEFT + (number % 2) * 280, HEIGHT + 8 + LEGEND_ROW * (number // 2)
    drawing.line(x, y - 4, x + 22, y - 4, f"line {kind}")
    drawing.text(x + 28, y, name)


def thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Returns at most MOST_POINTS of the points, evenly, with the first and the last."""
    if len(points) <= MOST_POINTS:
        return points
    last = len(points) - 1
    return [points[round(k * last / (MOST_POINTS - 1))] for k in range(MOST_POINTS)]
