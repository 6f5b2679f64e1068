"""Lengths of time on the command line: 90, 90s, 30m, 1h30m."""

from __future__ import annotations

import re

import click

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_FORM = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?")


class Duration(click.ParamType[float]):
    """Converts to seconds above 0."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; a usage error for anything else."""
        if isinstance(value, float):
            return value
        match = _FORM.fullmatch(str(value))
        parts = {} if match is None else {unit: float(n) for unit, n in match.groupdict().items() if n}
        seconds = sum(_SECONDS[unit] * number for unit, number in parts.items())
        if seconds <= 0:
            self.fail(f"got {value!r}, wanted a length of time such as 90s, 30m or 1h30m", param, ctx)
        return seconds


DURATION = Duration()
