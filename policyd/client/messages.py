"""Messages of the contract from values that a caller gave: a wrong value names its field."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from policyd.errors import InvalidArgument
from policyd.quoting import shown

Made = TypeVar("Made", bound=Message)

# The errors that protobuf raises for a value of another type or outside the field's range.
_REFUSED = (TypeError, ValueError, OverflowError, AttributeError)

_EXPECTED = {
    FieldDescriptor.TYPE_INT32: "a whole number from -2^31 to 2^31 - 1",
    FieldDescriptor.TYPE_INT64: "a whole number from -2^63 to 2^63 - 1",
    FieldDescriptor.TYPE_UINT32: "a whole number from 0 to 2^32 - 1",
    FieldDescriptor.TYPE_UINT64: "a whole number from 0 to 2^64 - 1",
    FieldDescriptor.TYPE_DOUBLE: "a number",
    FieldDescriptor.TYPE_FLOAT: "a number",
    FieldDescriptor.TYPE_BOOL: "True or False",
    FieldDescriptor.TYPE_STRING: "text that UTF-8 can hold",
    FieldDescriptor.TYPE_BYTES: "bytes",
}


def build(kind: type[Made], **fields: Any) -> Made:
    """Returns a message with these fields. None leaves a field unset.

    Raises InvalidArgument, which names the field.
    """
    try:
        return kind(**fields)
    except _REFUSED as error:
        for name, value in fields.items():
            try:
                kind(**{name: value})
            except _REFUSED:
                raise InvalidArgument.of(name, got=_quoted(value), wanted=_expected(kind, name)) from error
        raise


def _quoted(value: Any) -> str:
    if isinstance(value, int):
        return shown(value, 80)
    try:
        return shown(repr(value), 80)
    except Exception:  # noqa: BLE001 -- the value may be of a class whose conversion raises anything
        return f"an object of {type(value).__name__}"


def _expected(kind: type[Message], name: str) -> str:
    """Returns in words which values a field takes."""
    field = kind.DESCRIPTOR.fields_by_name[name]
    each = _EXPECTED.get(field.type, "")
    if field.message_type is not None:
        each = f"the message {field.message_type.name}"
        if field.message_type.GetOptions().map_entry:
            return "a mapping of text to text"
    elif field.enum_type is not None:
        each = f"one of {', '.join(field.enum_type.values_by_name)}"
    return f"a list, each element {each}" if field.is_repeated else each
