"""What callers may write: names of policies and aliases, and who changes something and why."""

from __future__ import annotations

import re

from policyd.errors import InvalidArgument

POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ALIAS_NAME = POLICY_NAME
MAX_TEXT = 1024  # longest `actor` and `reason`, in characters


def validate_policy_name(name: str, *, field: str = "policy") -> str:
    """Returns the name. Raises InvalidArgument for `field` if it is not valid."""
    return _validate(POLICY_NAME, name, field)


def validate_alias_name(name: str, *, field: str = "alias") -> str:
    """Returns the name. Raises InvalidArgument for `field` if it is not valid."""
    return _validate(ALIAS_NAME, name, field)


def validate_author(actor: str, reason: str) -> None:
    """Raises InvalidArgument if the author of a change, or the reason, is too long to be kept."""
    for name, text in (("actor", actor), ("reason", reason)):
        if len(text) > MAX_TEXT:
            raise InvalidArgument.of(name, got=f"{len(text)} characters", wanted=f"at most {MAX_TEXT}")


def _validate(pattern: re.Pattern[str], name: str, field: str) -> str:
    if pattern.fullmatch(name) is None:
        raise InvalidArgument.of(field, got=repr(name), wanted=f"a name like {pattern.pattern}")
    return name
