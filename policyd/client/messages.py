"""Messages of the contract from values that a caller gave: a wrong value names its field."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import Message

from policyd.errors import InvalidArgument

Made = TypeVar("Made", bound=Message)

# What protobuf raises for a value of another type, or out of the field's range.
_REFUSED = (TypeError, ValueError, OverflowError, AttributeError)


def build(kind: type[Made], **fields: Any) -> Made:
    """Returns the message.

    None leaves a field unset. Raises InvalidArgument, which names the field.
    """
    try:
        return kind(**fields)
    except _REFUSED as error:
        for name, value in fields.items():
            try:
                kind(**{name: value})
            except _REFUSED as refusal:
                got, why = repr(value)[:80], " ".join(str(refusal).split())
                raise InvalidArgument.of(name, got=got, wanted=f"a value that fits: {why}") from error
        raise
