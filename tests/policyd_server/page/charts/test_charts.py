"""Charts: numbers stand where they belong, every text is escaped, and odd numbers break nothing."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.axes import Scale, short
from policyd_server.page.charts.bars import bar
from policyd_server.page.charts.curves import MOST_POINTS, Series, curves, thinned
from policyd_server.page.charts.intervals import Interval, Mark, intervals
from tests.policyd_server.page.conftest import ATTACK

numbers = st.floats(-1e30, 1e30)


@given(st.lists(numbers, min_size=1, max_size=20))
def test_a_scale_holds_its_values(values: list[float]) -> None:
    """Values keep their order and are inside the pixels, and so are the few ticks."""
    scale = Scale.over(values, 10.0, 200.0)
    places = [scale.at(value) for value in sorted(values)]
    assert all(10 <= place <= 200 for place in places)
    assert places == sorted(places)
    assert len(scale.ticks()) <= 12
    assert all(10 - 1e-6 <= scale.at(tick) <= 200 + 1e-6 for tick in scale.ticks())


@pytest.mark.parametrize(
    ("values", "ticks"),
    [([0.0, 10.0], [0, 2.5, 5, 7.5, 10]), ([490.0, 500.0], [490, 492.5, 495, 497.5, 500])],
)
def test_ticks_are_round(values: list[float], ticks: list[float]) -> None:
    """Ticks are numbers that a person would choose."""
    assert Scale.over(values, 0, 1).ticks() == pytest.approx(ticks)


@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=5), st.text(max_size=30))
def test_intervals_are_valid_svg(rows: list[tuple[float, float, float]], name: str) -> None:
    """Any chart can be parsed, and its texts come back unchanged."""
    shown = [Interval(name + ATTACK, *row, "series-0") for row in rows]
    name = "".join(c for c in name if c.isprintable())
    drawn = intervals(
        [Interval(name + ATTACK, 1.0, 0.0, 2.0, "series-0")], "axis", ATTACK, [Mark(0, "z", "zero")]
    )
    root = ElementTree.fromstring(drawn)
    assert root.get("aria-label") == ATTACK
    assert name + ATTACK in [text.text for text in root.iter("text")]
    assert "nan" not in intervals(shown, "axis", "label")


def test_curves_have_a_legend_and_no_more_points_than_pixels() -> None:
    """Each line has its name, and long lines keep their ends."""
    points = [(float(k), math.sin(k / 50)) for k in range(5000)]
    root = ElementTree.fromstring(curves([Series("one", points), Series(ATTACK, points)], ("x", "y"), "both"))
    assert [text.text for text in root.iter("text")][-4:] == ["one", ATTACK, "x", "y"]
    line = next(root.iter("polyline")).get("points")
    assert line is not None
    assert len(line.split()) == MOST_POINTS
    assert (thinned(points)[0], thinned(points)[-1]) == (points[0], points[-1])


@pytest.mark.parametrize(("share", "width"), [(-1, 0), (0, 0), (0.25, 50), (1, 200), (7, 200)])
def test_a_bar_is_as_long_as_its_share(share: float, width: float) -> None:
    """A bar is never longer than its track."""
    boxes = list(ElementTree.fromstring(bar(share, "series-0", "a share")).iter("rect"))
    assert float(boxes[1].get("width", "")) == width


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.25"), (500, "500"), (20_000, "20k"), (1.5e6, "1.5M"), (-2e9, "-2G")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    """Numbers are written as on an axis."""
    assert short(value) == text
