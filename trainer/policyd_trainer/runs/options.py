"""What options shared by `train` and `learn` mean: --set, --progress, and those of the gate."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from google.protobuf import json_format
from rich.console import Console

from policy_api.v1.gate_pb2 import GateConfig
from policyd.errors import InvalidArgument
from policyd.repository.names import validate_alias_name
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.judging import Promotion
from policyd_trainer.runs.bar import BarReporter
from policyd_trainer.runs.ending import guardians_stdout, own_stdout, own_stream
from policyd_trainer.runs.reporting import JsonReporter, Reporter, TextReporter


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """The settings by name, each value as JSON.

    Raises:
        InvalidArgument: a pair is not NAME=VALUE.
    """
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidArgument.of("--set", got=repr(pair), wanted="KEY=VALUE")
        settings[name.strip()] = value
    return settings


def promotion_of(arguments: Mapping[str, Any]) -> Promotion:
    """The promotion that --promote, --alias, --min-return and --gate describe.

    Raises:
        InvalidArgument: names the option.
    """
    alias = validate_alias_name(arguments["alias"])
    gate = Gate.of(_parse_gate(arguments["gate"]), "--gate")
    return Promotion(arguments["promote"], alias, arguments["min_return"], gate)


def _parse_gate(text: str) -> GateConfig:
    try:
        return json_format.Parse(text, GateConfig())
    except json_format.ParseError as error:
        raise InvalidArgument.of(
            "--gate", got=repr(text), wanted=f"a GateConfig as JSON ({error})"
        ) from error


def absolute(repository: Path | str) -> Path | str:
    """The repository's location, if environments change the working folder."""
    return repository.absolute() if isinstance(repository, Path) else repository


@contextlib.contextmanager
def reporter_of(kind: str) -> Iterator[Reporter]:
    """The reporter that `--progress` asks for: `bar`, `json` or `none`."""
    if kind == "json":
        yield JsonReporter(own_stdout(), guardians_stdout)
    elif kind == "none":
        stream = own_stream(1, sys.stdout)
        yield TextReporter(lambda line: click.echo(line, file=stream))
    else:
        with BarReporter(Console(file=own_stream(2, sys.stderr))) as bar:
            yield bar
