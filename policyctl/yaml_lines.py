"""YAML with the line of each value kept, so that an error can point at it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from policy_api.errors import InvalidArgument

#: Keys and list indices from the root to a value.
Path = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, except that 1e-3 is a number, as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


@dataclass
class Document:
    """A parsed file: its data, and the line of each value by path, from 1."""

    source: str
    data: Any = None
    _lines: dict[Path, int] = field(default_factory=dict)

    def at(self, path: Path) -> str:
        """FILE:LINE of a value; of the nearest one around it, where it is not in the file."""
        known = (self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines)
        return f"{self.source}:{next(known, 1)}"

    def error(self, path: Path, *, got: object, wanted: str) -> InvalidArgument:
        """An error that names the file, the line and the field."""
        name = ".".join(str(part) for part in path) or "the document"
        return InvalidArgument.of(f"{self.at(path)}: {name}", got=got, wanted=wanted)

    def note(self, path: Path, line: int) -> None:
        """Remembers where a value stands."""
        self._lines[path] = line


def parse(text: str, source: str) -> Document:
    """Reads one document of mappings, lists and plain values.

    InvalidArgument: not YAML, a key twice, or a value of a kind that JSON does not have.
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


def _value(loader: _Loader, node: yaml.Node, path: Path, document: Document) -> Any:
    document.note(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, i), document) for i, item in enumerate(node.value)]
    value = loader.construct_object(node)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise document.error(path, got=node.value, wanted="text, a number, true, false, a list or a mapping")


def _mapping(loader: _Loader, node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        document.note((*path, key), key_node.start_mark.line + 1)
        if key in found:
            raise document.error((*path, key), got="the key twice", wanted="it once")
        found[key] = _value(loader, value_node, (*path, key), document)
        document.note((*path, key), key_node.start_mark.line + 1)
    return found
