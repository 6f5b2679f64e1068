"""Checks of single JSON values. Each raises InvalidArgument: the field, what came, what fits."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, TypeVar

from policyd.errors import InvalidArgument

T = TypeVar("T")

_DIGITS = re.compile(r"-?[0-9]{1,20}")
_WANTED = {dict: "an object", list: "an array", bool: "true or false", str: "a string"}


def of_kind(value: Any, kind: type[T], path: str) -> T:
    """Returns the value if it is of the kind: dict, list, bool or str."""
    if not isinstance(value, kind):
        raise InvalidArgument.of(path, got=came(value), wanted=_WANTED[kind])
    return value


def check_known(given: dict[str, Any], known: Collection[str], path: str) -> None:
    """Raises InvalidArgument if an object has other names than `known`."""
    for name in given:
        if name not in known:
            place = f"{path}.{name}" if path else name
            raise InvalidArgument.of(
                place, got="an unknown field", wanted=f"one of {', '.join(sorted(known))}"
            )


def text(value: Any, path: str) -> str:
    """Returns the value if it is a text of Unicode characters."""
    found = of_kind(value, str, path)
    try:
        found.encode()
    except UnicodeEncodeError:
        raise InvalidArgument.of(path, got="half of a surrogate pair", wanted="Unicode text") from None
    return found


def whole(value: Any, low: int, high: int, path: str) -> int:
    """Returns a whole number from `low` to `high`. It takes "3" and 3.0 too."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidArgument.of(path, got=came(value), wanted=f"a whole number from {low} to {high}")
    return value


def real(value: Any, path: str) -> float:
    """Returns a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgument.of(path, got=came(value), wanted="a number")
    try:
        return float(value)
    except OverflowError:
        raise InvalidArgument.of(path, got=value, wanted="a number of float64") from None


def came(value: Any) -> str:
    """Returns in words what came: a text or number as it is, anything else by its kind."""
    if isinstance(value, str):
        return repr(value[:200])
    if isinstance(value, bool):
        return json.dumps(value)
    if value is None:
        return "nothing"
    if isinstance(value, int | float):
        return str(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return "an array" if isinstance(value, list) else "an object"
