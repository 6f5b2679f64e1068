"""The YAML file of `policyctl retrain CONFIG.yaml`: read, validated, errors with line and field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from policy_api.errors import FieldViolation, InvalidArgument
from policyctl import yaml_lines
from policyctl.retraining import Retraining

# What the trainer calls a field, and where it stands in the file.
_PLACES = {"env_id": ("env",), "promotion.alias": ("promotion", "alias")}
_SETTING = re.compile(r"^(?:spec\.)?settings\[(?P<name>[^\]]+)\]")


class ConfigFile:
    """One file; keeps the lines, so that what the trainer refuses can be shown in the file."""

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument.of(
                "CONFIG", got=f"{path} ({error})", wanted="a readable YAML file"
            ) from error
        self._document = yaml_lines.parse(text, str(path))
        if not isinstance(self._document.data, dict):
            raise self._document.error((), got=type(self._document.data).__name__, wanted="a mapping")

    def retraining(self, overrides: Mapping[str, Any]) -> Retraining:
        """The configuration, with what the command line says instead; InvalidArgument."""
        try:
            return Retraining.model_validate(_merged(self._document.data, overrides))
        except ValidationError as error:
            first = error.errors()[0]
            got = "nothing" if first["type"] == "missing" else repr(first["input"])
            wanted = "no such key" if first["type"] == "extra_forbidden" else first["msg"]
            raise self._document.error(first["loc"], got=got, wanted=wanted) from error

    def located(self, error: InvalidArgument) -> InvalidArgument:
        """The server's refusal with the line of the field that it names, where it stands in the file."""
        violation = next(iter(error.violations), None)
        if violation is None:
            return error
        message = f"{self._document.at(_path(violation))}: {error.message}"
        return InvalidArgument(message, violations=error.violations, reason=error.reason)


def _path(violation: FieldViolation) -> yaml_lines.Path:
    if setting := _SETTING.match(violation.field):
        return ("settings", setting["name"])
    name = violation.field.removeprefix("spec.")
    return _PLACES.get(name, tuple(name.split(".")))


def _merged(document: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`overrides` win; mappings are merged key by key."""
    merged = dict(document)
    for key, value in overrides.items():
        old = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        merged[key] = _merged(old, value) if both and old is not None else value
    return merged
