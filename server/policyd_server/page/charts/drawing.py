"""A drawing in SVG."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup


@dataclass
class Drawing:
    """Shapes on `width` by `height` pixels. `label` describes the drawing for screen readers."""

    width: int
    height: int
    label: str
    shapes: list[Markup] = field(default_factory=list)
    stretched: bool = False  # whether the style sheet decides its size

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
        """A text whose baseline starts, ends or is centred at (x, y)."""
        form = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
        self.shapes.append(form.format(x, y, anchor, kind, content))

    def markup(self) -> Markup:
        """Returns the `svg` element."""
        form = Markup('<svg class="chart" viewBox="0 0 {} {}"{} role="img" aria-label="{}">{}</svg>')
        ratio = Markup(' preserveAspectRatio="none"') if self.stretched else ""
        return form.format(self.width, self.height, ratio, self.label, Markup("").join(self.shapes))
