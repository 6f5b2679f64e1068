"""Parses shares as people write them: 0.05, 5%, and 7=5% for a version's share."""

from __future__ import annotations

from typing import Any

import click

from policy_api.v1.traffic_pb2 import TrafficShare


def parse_fraction(text: str) -> float:
    """Returns a share from 0 to 1. Raises ValueError if the text is not one."""
    value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if not 0 < value <= 1:
        raise ValueError(text)
    return value


class Fraction(click.ParamType[float]):
    """The type of an option such as `0.05` or `5%`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the share as a number."""
        if isinstance(value, float):
            return value
        try:
            return parse_fraction(value)
        except ValueError:
            self.fail(f"got {value!r}, expected a share above 0, at most 1: 0.05 or 5%", param, ctx)


class VersionShare(click.ParamType[TrafficShare]):
    """The type of an argument such as `7=5%`: version 7 gets a share of 5%."""

    name = "version=share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TrafficShare:
        """Returns the version and its share."""
        version, _, share = str(value).partition("=")
        try:
            return TrafficShare(version=int(version), share=parse_fraction(share))
        except ValueError:
            self.fail(f"got {value!r}, expected VERSION=SHARE: 7=5%", param, ctx)


FRACTION, SHARE = Fraction(), VersionShare()
