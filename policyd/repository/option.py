"""The option `--repository` of the commands."""

from __future__ import annotations

from pathlib import Path

import click

from policyd.errors import InvalidArgument
from policyd.repository.open import location


class Location(click.ParamType[Path | str]):
    """The type of an option that is a folder, or a URL of object storage."""

    name = "location"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | str:
        """Raises a usage error for a URL of another kind, and for a path that is a file."""
        try:
            where = location(value)
        except InvalidArgument as error:
            self.fail(error.message, param, ctx)
        if isinstance(where, Path) and where.is_file():
            self.fail(f"{where} is a file, expected a folder", param, ctx)
        return where


LOCATION = Location()
