"""Axes of drawings: maps numbers to pixels, and finds the round numbers that are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Maps numbers from `low` to `high` linearly to pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: list[float], start: float, end: float, *, margin: float = 0.05) -> Scale:
        """Returns a scale over all finite values; `margin` is the fraction added on both sides."""
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        if high - low < 1e-9 * max(1.0, abs(high)):
            low, high = low - max(0.5, 0.1 * abs(low)), high + max(0.5, 0.1 * abs(high))
        extra = margin * (high - low)
        return cls(low - extra, high + extra, start, end)

    def at(self, value: float) -> float:
        """Returns the pixel of a value. A value outside the scale is put on its edge."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Returns round numbers within the scale, roughly `about` of them."""
        rough = (self.high - self.low) / max(about, 1)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def short(value: float) -> str:
    """Returns a number as an axis shows it: `0.25`, `1500`, `15k`, `200k`, `3M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            scale = 1e3 if unit == "k" else size
            return f"{value / scale:.4g}{unit}"
    return f"{value:.4g}"
