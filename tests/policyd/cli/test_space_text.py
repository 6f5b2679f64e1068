"""Spaces as Gymnasium prints them become what the trainer would have described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from google.protobuf import json_format

from policyd.cli.space_text import parse_space, read_spaces
from policyd.errors import InvalidArgument
from policyd.gym_spaces import describe

spaces = gym.spaces
INF = np.inf


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, 1, (4,)),
        spaces.Box(np.array([-2.5, -INF], np.float32), np.array([2.5, INF], np.float32)),
        spaces.Box(0, 255, (8, 8, 3), np.uint8),
        spaces.Box(np.array([[0, 1], [2, 3.5]]), np.array([[4, 5], [6, 7e10]]), dtype=np.float64),
        spaces.Discrete(3),
        spaces.Discrete(3, start=-1),
        spaces.MultiDiscrete([3, 2]),
        spaces.MultiDiscrete(np.array([[3, 2], [4, 5]])),
        spaces.MultiDiscrete([3, 2], start=[1, 0]),
        spaces.MultiBinary(4),
        spaces.MultiBinary((2, 3)),
        spaces.Dict({"a": spaces.Discrete(2), "b 1 2 (": spaces.Box(0, 1, (2,))}),
        spaces.Tuple((spaces.Discrete(2), spaces.Dict({"in": spaces.Discrete(4)}))),
    ],
    ids=repr,
)
def test_what_gymnasium_prints(space: gym.Space[Any]) -> None:
    """The text of a space gives the same message as the space itself."""
    assert parse_space(repr(space)) == describe(space)


@pytest.mark.parametrize(
    "text",
    ["", "Discrete", "Text(3)", "Box(1)", "Box([0 ... 1], [1 ... 2], (99,), float32)",
     "Dict(3)", "Discrete('x')",
     "__import__('os').system('true')", "Discrete(n)", "Tuple(3)", "((((", "Discrete(3, 4, x=5)) )"],
)  # fmt: skip
def test_what_is_no_space_is_refused(text: str) -> None:
    """Any other text is a ValueError, and nothing is evaluated."""
    with pytest.raises(ValueError, match=r"."):
        parse_space(text)


def test_a_file_of_texts_or_messages(tmp_path: Path) -> None:
    """YAML with texts, and JSON with the contract's messages, give the same spaces."""
    text, messages = tmp_path / "spaces.yaml", tmp_path / "spaces.json"
    text.write_text("observation: Box(-1.0, 1.0, (4,), float32)\naction: Discrete(2)\n")
    found = read_spaces(text)
    messages.write_text(json_format.MessageToJson(found))
    assert read_spaces(messages) == found
    assert (found.action.discrete.n, list(found.observation.box.shape)) == (2, [4])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("observation: Discrete(2)", "action"),
        ("observation: Discrete(2)\naction: Discrete(2)\nreward: 3", "reward"),
        ("observation: Discrete(2)\naction: Cube(2)", "--spaces: action"),
        ("observation: {discrete: {m: 3}}\naction: Discrete(2)", "--spaces: observation"),
        ("- 1", "list"),
        ("{", "flow"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, content: str, named: str) -> None:
    """The message names the wrong part and shows an example."""
    path = tmp_path / "spaces.yaml"
    path.write_text(content)
    with pytest.raises(InvalidArgument, match="Discrete") as raised:
        read_spaces(path)
    assert named in raised.value.message
