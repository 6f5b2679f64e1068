"""What the .proto files say in their comments, which generated code does not have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

FILES = ("artifact", "gate", "policy", "training", "experience")
_OPEN = re.compile(r"(?:message|enum|service|oneof) (\w+) \{")
_FIELD = re.compile(r"(?:repeated |optional )?[\w.<>, ]+ (\w+) = \d+")
_VALUE = re.compile(r"(\w+) = \d+;")
_RPC = re.compile(r"rpc (\w+)\(")


def comments() -> Mapping[str, str]:
    """Returns the comments by full name, such as `policy_api.v1.Policy.name`.

    Each paragraph of a comment is one line.
    """
    found: dict[str, str] = {}
    folder = resources.files("policy_api.v1")
    for name in FILES:
        found.update(of_file((folder / f"{name}.proto").read_text()))
    return found


def of_file(text: str, package: str = "policy_api.v1") -> Mapping[str, str]:
    """Returns the comments of one file. The names of fields leave out the oneof around them."""
    found: dict[str, str] = {}
    scope: list[str] = []  # names of the open blocks; empty for a oneof
    above: list[str] = []  # lines of the last comment
    for line in map(str.strip, text.splitlines()):
        if line.startswith("//"):
            above.append(line.removeprefix("//").strip())
            continue
        name = _name(line)
        if name and above:
            found[".".join([package, *filter(None, scope), name])] = _joined(above)
        above = []
        if opened := _OPEN.match(line):
            scope.append("" if line.startswith("oneof") else opened[1])
            if line.endswith("}"):
                scope.pop()
        elif line == "}":
            scope.pop()
    return found


def _name(line: str) -> str:
    for pattern in (_OPEN, _RPC, _VALUE, _FIELD):
        if found := pattern.match(line):
            return found[1]
    return ""


def _joined(lines: list[str]) -> str:
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
