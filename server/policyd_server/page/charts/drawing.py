"""A drawing in SVG, and the scale that places numbers in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from markupsafe import Markup


@dataclass(frozen=True)
class Scale:
    """Places numbers between `low` and `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: list[float], start: float, end: float, *, margin: float = 0.05) -> Scale:
        """A scale over all values that are finite, with a margin on both sides."""
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        if high - low < 1e-9 * max(1.0, abs(high)):
            low, high = low - max(0.5, 0.1 * abs(low)), high + max(0.5, 0.1 * abs(high))
        extra = margin * (high - low)
        return cls(low - extra, high + extra, start, end)

    def at(self, value: float) -> float:
        """The pixel of a value. Values outside are put on the edge."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within the scale, `about` as many."""
        rough = (self.high - self.low) / max(about, 1)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


@dataclass
class Drawing:
    """Shapes on `width` by `height` pixels; `label` tells it to those who cannot see it."""

    width: int
    height: int
    label: str
    shapes: list[Markup] = field(default_factory=list)
    stretched: bool = False  # to whatever size the style sheet gives it

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line of the class `kind`."""
        form = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>')
        self.shapes.append(form.format(x1, y1, x2, y2, kind))

    def path(self, points: list[tuple[float, float]], kind: str) -> None:
        """A line through points."""
        if points:
            corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            self.shapes.append(Markup('<polyline points="{}" class="{}"/>').format(corners, kind))

    def dot(self, x: float, y: float, kind: str, radius: float = 4.0) -> None:
        """A filled circle."""
        form = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="{}"/>')
        self.shapes.append(form.format(x, y, radius, kind))

    def box(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A filled rectangle with round corners."""
        form = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" class="{}"/>')
        self.shapes.append(form.format(x, y, max(width, 0.0), height, kind))

    def text(self, x: float, y: float, content: str, kind: str = "label", anchor: str = "start") -> None:
        """A text whose baseline starts, ends or has its middle at (x, y)."""
        form = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
        self.shapes.append(form.format(x, y, anchor, kind, content))

    def markup(self) -> Markup:
        """The `svg` element."""
        form = Markup('<svg class="chart" viewBox="0 0 {} {}"{} role="img" aria-label="{}">{}</svg>')
        ratio = Markup(' preserveAspectRatio="none"') if self.stretched else ""
        return form.format(self.width, self.height, ratio, self.label, Markup("").join(self.shapes))


def short(value: float) -> str:
    """A number as an axis shows it: `0.25`, `12`, `1.5k`, `200k`, `3M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = 1e3 if unit == "k" else size
            return f"{value / scale:.4g}{unit}"
    return f"{value:.4g}"
