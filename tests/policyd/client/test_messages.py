"""A value that a message cannot hold is refused with an error of ours that names the field."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from policy_api.v1 import experience_pb2, policy_pb2, training_pb2
from policyd.client.messages import build
from policyd.errors import InvalidArgument


class Shy:
    """An object whose repr fails."""

    def __repr__(self) -> str:
        raise KeyError("no")


@pytest.mark.parametrize(
    ("kind", "field", "value", "told"),
    [
        (policy_pb2.ActRequest, "policy", 5, "got 5, expected text that UTF-8 can hold"),
        (policy_pb2.ActRequest, "policy", "\ud800", "expected text that UTF-8 can hold"),
        (policy_pb2.ActRequest, "policy", Shy(), "got an object of Shy, expected text"),
        (policy_pb2.ActRequest, "seed", -1, "got -1, expected a whole number from 0 to 2^64 - 1"),
        pytest.param(policy_pb2.ActRequest, "seed", 10**5000, "of more than 80 digits, expected", id="long"),
        (policy_pb2.ActRequest, "temperature", "hot", "got 'hot', expected a number"),
        (policy_pb2.ActRequest, "deterministic", "yes", "got 'yes', expected True or False"),
        (policy_pb2.ActRequest, "decisions", [5], "expected a list, each element the message Decision"),
        (training_pb2.TrainingSpec, "settings", {"n_envs": 5}, "expected a mapping of text to text"),
        (training_pb2.CreateTrainingJobRequest, "spec", "x", "expected the message TrainingSpec"),
        (
            experience_pb2.ExperienceConfig,
            "mode",
            "on",
            "expected one of MODE_UNSPECIFIED, OFF",
        ),
    ],
)
def test_a_wrong_value_is_refused(kind: type[Message], field: str, value: Any, told: str) -> None:
    """The error has the value that came and what the field accepts."""
    with pytest.raises(InvalidArgument) as raised:
        build(kind, **{field: value})
    assert raised.value.message.startswith(f"{field}: got ")
    assert told in raised.value.message


def test_right_values_make_the_message() -> None:
    """None leaves a field unset."""
    request = build(policy_pb2.ActRequest, policy="p", seed=7, version=None)
    assert (request.policy, request.seed, request.HasField("version")) == ("p", 7, False)
