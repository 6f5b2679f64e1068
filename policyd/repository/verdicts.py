"""The gate's verdicts on a version: gate.json, then gate-2.json and so on for later rounds.

The files of a version never change. A verdict that comes after publishing is one more file.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from google.protobuf import json_format

from policy_api.v1.gate_pb2 import GateVerdict
from policyd.errors import CorruptArtifact

FIRST = "gate.json"
_LATER = re.compile(r"gate-([1-9]\d{0,8})\.json")


def encode(verdict: GateVerdict) -> bytes:
    """Returns the file's content."""
    text = json_format.MessageToJson(verdict, indent=1, preserving_proto_field_name=True)
    return text.encode()


def decode(place: str, content: bytes) -> GateVerdict:
    """Returns the verdict in a file. CorruptArtifact names `place`."""
    try:
        return json_format.Parse(content, GateVerdict(), ignore_unknown_fields=True)
    except (ValueError, RecursionError, json_format.ParseError) as error:
        raise CorruptArtifact(f"{place} is damaged: {str(error)[:200]}") from None


def last_round(names: Collection[str]) -> int:
    """Returns how many verdicts are among these files of a version."""
    rounds = [int(match[1]) for name in names if (match := _LATER.fullmatch(name))]
    return max([*rounds, 1 if FIRST in names else 0])


def file_name(number: int) -> str:
    """Returns the name of a round's file. Rounds count from 1."""
    return FIRST if number == 1 else f"gate-{number}.json"
