"""Means with their intervals, one line each: returns of versions, differences of the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from policyd.axes import Scale, short
from policyd_server.page.charts.drawing import Drawing

WIDTH, LEFT, RIGHT, ROW, BOTTOM = 640, 180, 20, 26, 44


@dataclass(frozen=True)
class Interval:
    """A mean and its interval."""

    name: str
    mean: float
    low: float
    high: float
    kind: str  # a class of the style sheet: `series-0`, `series-1`, `decided`


@dataclass(frozen=True)
class Mark:
    """A vertical line that the intervals are compared with."""

    value: float
    name: str
    kind: str  # `zero`, `margin`


def intervals(means: Sequence[Interval], axis: str, label: str, marks: Sequence[Mark] = ()) -> Markup:
    """One line per interval, from top to bottom; `axis` names the numbers, `label` the picture."""
    height = ROW * max(len(means), 1) + BOTTOM
    drawing = Drawing(WIDTH, height, label)
    values = [value for each in means for value in (each.mean, each.low, each.high)]
    scale = Scale.over([*values, *(mark.value for mark in marks)], LEFT, WIDTH - RIGHT)
    floor = height - BOTTOM + 4
    for tick in scale.ticks():
        drawing.line(scale.at(tick), 4, scale.at(tick), floor, "grid")
        drawing.text(scale.at(tick), floor + 14, short(tick), anchor="middle")
    for mark in marks:
        drawing.line(scale.at(mark.value), 2, scale.at(mark.value), floor, mark.kind)
    for place, each in enumerate(means):
        y = ROW * place + ROW / 2 + 3
        drawing.text(LEFT - 10, y + 4, each.name, anchor="end")
        drawing.line(scale.at(each.low), y, scale.at(each.high), y, f"interval {each.kind}")
        drawing.dot(scale.at(each.mean), y, f"mean {each.kind}")
    drawing.text((LEFT + WIDTH - RIGHT) / 2, height - 8, axis, "axis", "middle")
    return drawing.markup()
