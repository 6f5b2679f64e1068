"""The gate's verdicts beside a version: gate.json as published, gate-2.json and so on for later rounds.

A version's own files never change; a verdict that comes after publishing is one more file.
"""

from __future__ import annotations

import re
from pathlib import Path

from google.protobuf import json_format

from policy_api.errors import CorruptArtifact
from policy_api.v1.gate_pb2 import GateVerdict

FIRST = "gate.json"
_LATER = re.compile(r"gate-(\d+)\.json")


def encode(verdict: GateVerdict) -> bytes:
    """The file's content."""
    text = json_format.MessageToJson(verdict, indent=1, preserving_proto_field_name=True)
    return text.encode()


def latest(directory: Path) -> GateVerdict | None:
    """The last verdict on the version in `directory`; None: it was never judged. CorruptArtifact."""
    number = last_round(directory)
    if number == 0:
        return None
    path = directory / file_name(number)
    try:
        return json_format.Parse(path.read_bytes(), GateVerdict(), ignore_unknown_fields=True)
    except (OSError, ValueError, json_format.ParseError) as error:
        raise CorruptArtifact(f"{path} cannot be read: {error}") from error


def last_round(directory: Path) -> int:
    """How often the version was judged."""
    rounds = [int(match[1]) for path in directory.iterdir() if (match := _LATER.fullmatch(path.name))]
    return max([*rounds, 1 if (directory / FIRST).exists() else 0])


def file_name(number: int) -> str:
    """Of a round, counted from 1."""
    return FIRST if number == 1 else f"gate-{number}.json"
