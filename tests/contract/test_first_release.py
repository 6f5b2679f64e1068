"""Messages of the first release, recorded as bytes, against today's contract.

They are of discrete policies.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from policy_api.v1 import artifact_pb2, policy_pb2, training_pb2

RECORDED = Path(__file__).parent / "first_release"
MESSAGES: dict[str, dict[str, Any]] = json.loads((RECORDED / "messages.json").read_text())
MODULES = (artifact_pb2, policy_pb2, training_pb2)


def _parsed(name: str) -> Message:
    kind = MESSAGES[name]["type"].rpartition(".")[2]
    message: Message = next(getattr(module, kind) for module in MODULES if hasattr(module, kind))()
    message.ParseFromString((RECORDED / f"{name}.binpb").read_bytes())
    return message


@pytest.mark.parametrize("name", MESSAGES)
def test_recorded_messages_mean_what_they_meant(name: str) -> None:
    """Every field has its old name, type and content. Nothing is in a new field."""
    assert json_format.MessageToDict(_parsed(name)) == MESSAGES[name]["content"]


@pytest.mark.parametrize("name", MESSAGES)
def test_today_s_code_writes_the_same_bytes(name: str) -> None:
    """The same content gives the same bytes as in the first release."""
    recorded = (RECORDED / f"{name}.binpb").read_bytes()
    fresh = type(_parsed(name))()
    json_format.ParseDict(MESSAGES[name]["content"], fresh)
    assert fresh.SerializeToString(deterministic=True) == recorded


def test_the_room_for_episodes_is_used_for_nothing_else() -> None:
    """Of the fields 12 to 15, which the first release reserved, only `decisions` is used."""
    taken = {
        (message.DESCRIPTOR.name, field.name)
        for message in (policy_pb2.ActRequest, policy_pb2.ActResponse)
        for field in message.DESCRIPTOR.fields
        if 12 <= field.number <= 15
    }
    assert taken == {("ActRequest", "decisions")}
