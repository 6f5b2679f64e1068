"""Spaces as people write them.

What Gymnasium prints, or the contract's JSON. Gymnasium is not needed.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format

from policy_api.v1 import artifact_pb2 as pb
from policy_api.v1.training_pb2 import Spaces
from policyd.errors import InvalidArgument

EXAMPLE = "'observation: Box(-1.0, 1.0, (4,), float32)' and 'action: Discrete(2)', a line each"
_KEYS = {"observation", "action", "has_action_mask"}
_NUMBER = re.compile(r"(?<![\w.])(-?)inf(?![\w.])")
_GAP = re.compile(r"(?<=[\d.\]f])\s+(?=[-\d.\[i])")  # between two numbers of an array that numpy printed
_QUOTED = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_BRACKET = re.compile(r"(Dict\(|\(|\))")


def read_spaces(path: Path) -> Spaces:
    """Reads the spaces in a YAML or JSON file.

    The file has the keys `observation`, `action`, and `has_action_mask` if clients send masks. Each
    space is a text as Gymnasium prints it, or the contract's `Space` as JSON. Raises
    InvalidArgument, which names what is wrong.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise InvalidArgument.of(
            "--spaces", got=f"{path}: {problem}", wanted=f"a file with {EXAMPLE}"
        ) from error
    if not isinstance(document, Mapping) or not {"observation", "action"} <= document.keys() <= _KEYS:
        got = sorted(map(str, document)) if isinstance(document, Mapping) else type(document).__name__
        raise InvalidArgument.of("--spaces", got=f"{path} with {got}", wanted=EXAMPLE)
    return Spaces(
        observation=_space(document["observation"], "observation"),
        action=_space(document["action"], "action"),
        has_action_mask=bool(document.get("has_action_mask", False)),
    )


def parse_space(text: str) -> pb.Space:
    """Parses a space from the text that Gymnasium prints.

    Raises ValueError if the text is not a space, or if numbers are missing.
    """
    if "..." in text:
        raise ValueError("numpy left numbers out (...): write the space as JSON")
    try:
        return _of(ast.parse(_as_python(text).strip(), mode="eval").body)
    except (SyntaxError, TypeError, RecursionError, IndexError, AttributeError) as error:
        raise ValueError(f"{text!r} is not a space as Gymnasium prints it") from error


def _space(value: object, name: str) -> pb.Space:
    try:
        if isinstance(value, Mapping):
            return json_format.Parse(json.dumps(value), pb.Space())
        return parse_space(str(value))
    except (ValueError, TypeError, json_format.ParseError) as error:
        raise InvalidArgument.of(
            f"--spaces: {name}", got=str(error), wanted=f"a space such as {EXAMPLE}"
        ) from error


def _as_python(text: str) -> str:
    """Rewrites what Gymnasium and numpy print as an expression that Python can parse.

    Gymnasium prints `Dict('a': ...)` and numpy prints `[3 -inf]`; neither is Python.
    """
    parts = _QUOTED.split(text)  # every second part is a quoted name
    parts[::2] = [_NUMBER.sub(r"\g<1>1e999", _GAP.sub(", ", part)) for part in parts[::2]]
    spelled, opened = [], list[str]()
    for place, part in enumerate(parts):
        if place % 2:
            spelled.append(part)
            continue
        for word in _BRACKET.split(part):
            if word.endswith("("):
                opened.append("})" if word == "Dict(" else ")")
                spelled.append("Dict({" if word == "Dict(" else word)
            elif word == ")":
                spelled.append(opened.pop() if opened else word)
            else:
                spelled.append(word)
    return "".join(spelled)


def _of(node: ast.expr) -> pb.Space:
    """Converts one call of a space's name, such as `Discrete(2)`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(f"got {ast.unparse(node)}, expected Box, Discrete, MultiDiscrete, ...")
    name = node.func.id
    if name == "Dict":
        return _dict(node)
    if name == "Tuple":
        return pb.Space(tuple=pb.TupleSpace(spaces=[_of(each) for each in _members(node)]))
    positional = [_value(each) for each in node.args]
    named = {each.arg or "": _value(each.value) for each in node.keywords}
    if name == "Box":
        return _box(*positional, **named)
    if name == "Discrete":
        return pb.Space(discrete=pb.DiscreteSpace(n=int(positional[0]), start=int(named.get("start", 0))))
    if name == "MultiDiscrete":
        return _multi_discrete(positional[0], named.get("start"))
    if name == "MultiBinary":
        shape = _flat(positional[0])
        return pb.Space(multi_binary=pb.MultiBinarySpace(shape=[int(each) for each in shape]))
    raise ValueError(f"got {name}, expected Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple")


def _box(low: Any, high: Any, shape: Any = None, dtype: str = "float32") -> pb.Space:
    lows, highs = _flat(low), _flat(high)
    sides = [int(each) for each in _flat(shape)] if shape is not None else _shape(low)
    box = pb.BoxSpace(shape=sides, dtype=str(dtype), low=_short(lows), high=_short(highs))
    return pb.Space(box=box)


def _multi_discrete(counts: Any, start: Any) -> pb.Space:
    begins = [int(each) for each in _flat(start)] if start is not None else []
    return pb.Space(
        multi_discrete=pb.MultiDiscreteSpace(
            shape=_shape(counts),
            nvec=[int(each) for each in _flat(counts)],
            start=begins if any(begins) else [],
        )
    )


def _dict(node: ast.Call) -> pb.Space:
    [members] = node.args
    if not isinstance(members, ast.Dict):
        raise ValueError(f"got {ast.unparse(node)}, expected Dict('name': space, ...)")
    spaces = [
        pb.NamedSpace(name=str(_value(key)), space=_of(member))
        for key, member in zip(members.keys, members.values, strict=True)
        if key is not None
    ]
    return pb.Space(dict=pb.DictSpace(spaces=spaces))


def _members(node: ast.Call) -> list[ast.expr]:
    """Returns the members of a Tuple, written as `Tuple(A, B)` or as `Tuple((A, B))`."""
    if len(node.args) == 1 and isinstance(node.args[0], ast.Tuple | ast.List):
        return node.args[0].elts
    return node.args


def _value(node: ast.expr) -> Any:
    """Returns the value of a number, of nested lists of numbers, or of the name of a type."""
    if isinstance(node, ast.Name):
        return node.id
    return ast.literal_eval(node)


def _flat(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [number for each in value for number in _flat(each)]
    if not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(f"got {value!r}, expected numbers")
    return [value]


def _shape(value: Any) -> list[int]:
    return [len(value), *_shape(value[0])] if isinstance(value, list | tuple) else []


def _short(bounds: list[float]) -> list[float]:
    return bounds[:1] if len(set(bounds)) == 1 else bounds
