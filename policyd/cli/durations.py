"""Parses durations as people write them: 90, 90s, 30m, 1h30m."""

from __future__ import annotations

import re

import click

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"\d+(?:\.\d+)?"
_FORM = re.compile(rf"(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})m)?(?:(?P<s>{_NUMBER})s?)?")


def seconds_of(text: str) -> float:
    """Returns the seconds, above 0. Raises ValueError for anything else."""
    match = _FORM.fullmatch(text)
    parts = {} if match is None else {unit: float(n) for unit, n in match.groupdict().items() if n}
    seconds = sum(_SECONDS[unit] * number for unit, number in parts.items())
    if seconds <= 0:
        raise ValueError(f"got {text!r}, expected a duration such as 90s, 30m or 1h30m")
    return seconds


class Duration(click.ParamType[float]):
    """The type of an option that is a duration, in seconds."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the seconds, above 0. Anything else is a usage error."""
        try:
            return seconds_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = Duration()
