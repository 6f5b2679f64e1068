"""A share from 0 to 1 as a bar: the probability of an action, the progress of a job."""

from __future__ import annotations

from markupsafe import Markup

from policyd_server.page.charts.drawing import Drawing

WIDTH, HEIGHT = 200, 14


def bar(share: float, kind: str, label: str) -> Markup:
    """Returns a bar. A share outside 0 to 1 is drawn as 0 or 1."""
    drawing = Drawing(WIDTH, HEIGHT, label, stretched=True)
    drawing.box(0, 0, WIDTH, HEIGHT, "track")
    drawing.box(0, 0, WIDTH * min(max(share, 0.0), 1.0), HEIGHT, f"bar {kind}")
    return drawing.markup()
