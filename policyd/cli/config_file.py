"""The YAML file of `policyctl retrain CONFIG.yaml`: read and validated.

Errors name line and field.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from policyd.cli.retraining import Retraining
from policyd.errors import FieldViolation, InvalidArgument

# Fields that the file has in another place than the trainer's name for them says.
_PLACES = {"env_id": ("env",), "promotion.alias": ("promotion", "alias")}
_SETTING = re.compile(r"^(?:spec\.)?settings\[(?P<name>[^\]]+)\]")

#: Keys and list indices from the root of a document to a value.
Keys = tuple[str | int, ...]


class ConfigFile:
    """A configuration file.

    It keeps line numbers, so that an error of the trainer can point into it.
    """

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument.of(
                "CONFIG", got=f"{path} ({error})", wanted="a readable YAML file"
            ) from error
        self._document = parse(text, str(path))
        if not isinstance(self._document.data, dict):
            raise self._document.error((), got=type(self._document.data).__name__, wanted="a mapping")

    def retraining(self, overrides: Mapping[str, Any]) -> Retraining:
        """Returns the configuration with `overrides` from the command line.

        Raises InvalidArgument.
        """
        try:
            return Retraining.model_validate(_merged(self._document.data, overrides))
        except ValidationError as error:
            first = error.errors()[0]
            got = "nothing" if first["type"] == "missing" else repr(first["input"])
            wanted = "no such key" if first["type"] == "extra_forbidden" else first["msg"]
            raise self._document.error(first["loc"], got=got, wanted=wanted) from error

    def located(self, error: InvalidArgument) -> InvalidArgument:
        """Returns the server's error, with the file and line of the field that the error names."""
        violation = next(iter(error.violations), None)
        if violation is None:
            return error
        message = f"{self._document.at(_path(violation))}: {error.message}"
        return InvalidArgument(message, violations=error.violations, reason=error.reason)


def _path(violation: FieldViolation) -> Keys:
    if setting := _SETTING.match(violation.field):
        return ("settings", setting["name"])
    name = violation.field.removeprefix("spec.")
    return _PLACES.get(name, tuple(name.split(".")))


def _merged(document: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the document with `overrides` in place of its values.

    Mappings are merged key by key.
    """
    merged = dict(document)
    for key, value in overrides.items():
        old = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        merged[key] = _merged(old, value) if both and old is not None else value
    return merged


class _Loader(yaml.SafeLoader):
    """Loads YAML 1.1 as PyYAML does, except that 1e-3 is a number, as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


@dataclass
class Document:
    """A parsed YAML file: its data, and the line of each value, counted from 1."""

    source: str
    data: Any = None
    _lines: dict[Keys, int] = field(default_factory=dict)

    def at(self, path: Keys) -> str:
        """Returns FILE:LINE of a value, or of the nearest value around it."""
        known = (self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines)
        return f"{self.source}:{next(known, 1)}"

    def error(self, path: Keys, *, got: object, wanted: str) -> InvalidArgument:
        """Returns an error that names the file, the line and the field."""
        name = ".".join(str(part) for part in path) or "the document"
        return InvalidArgument.of(f"{self.at(path)}: {name}", got=got, wanted=wanted)

    def note(self, path: Keys, line: int) -> None:
        """Remembers the line of a value."""
        self._lines[path] = line


def parse(text: str, source: str) -> Document:
    """Reads one document of mappings, lists, text, numbers and booleans.

    Raises InvalidArgument if it is not YAML, has a key twice, or has a value that JSON cannot hold.
    """
    document = Document(source)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        document.data = _value(loader, node, (), document) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidArgument.of(
            f"{source}:{line}", got=error.problem or "no YAML", wanted="a YAML document"
        ) from error
    except yaml.YAMLError as error:  # a character that YAML forbids
        raise InvalidArgument.of(
            source, got=" ".join(str(error).split()), wanted="a YAML document"
        ) from error
    return document


def _value(loader: _Loader, node: yaml.Node, path: Keys, document: Document) -> Any:
    document.note(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, i), document) for i, item in enumerate(node.value)]
    value = loader.construct_object(node)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise document.error(path, got=node.value, wanted="text, a number, true, false, a list or a mapping")


def _mapping(loader: _Loader, node: yaml.MappingNode, path: Keys, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        document.note((*path, key), key_node.start_mark.line + 1)
        if key in found:
            raise document.error((*path, key), got="this key twice", wanted="each key once")
        found[key] = _value(loader, value_node, (*path, key), document)
        document.note((*path, key), key_node.start_mark.line + 1)
    return found


def commit_of(folder: Path) -> str:
    """Returns the commit that is checked out at `folder`, in hexadecimal.

    Returns an empty text outside a repository or without git.
    """
    git = shutil.which("git")
    if git is None:
        return ""
    command = (git, "-C", str(folder), "rev-parse", "HEAD")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip() if done.returncode == 0 else ""
