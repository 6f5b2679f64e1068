"""The contract's messages as JSON, both ways, and their JSON schemas, made from the .proto files.

Names are those of the .proto files. Unlike protobuf's own JSON, an int64 is a number (versions,
steps), a duration is its seconds, and fields that have a default are always there. A uint64 (a
seed) is a string of digits, because JavaScript would round it; a number is taken, too. Numbers that
JSON lacks are "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from policyd.errors import InvalidArgument
from policyd_server.http import fields

M = TypeVar("M", bound=Message)
Json = Any
Descriptor = Any  # of either implementation of protobuf
Field = Any  # a FieldDescriptor of either implementation

_DURATION = "google.protobuf.Duration"
_TIMESTAMP = "google.protobuf.Timestamp"
MAX_SECONDS = 315_576_000_000  # of a Duration
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_FLOATS = frozenset({FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE})


def to_json(message: Message, *, digits: bool = True) -> dict[str, Json]:
    """Returns the message as JSON. Fields without a default that are not set are left out.

    `digits`: write a uint64 as a string of digits, otherwise as a number.
    """
    told: dict[str, Json] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if _is_map(field):
            told[field.name] = {str(key): _written(_value_field(field), value[key], digits) for key in value}
        elif field.is_repeated:
            told[field.name] = [_written(field, each, digits) for each in value]
        elif not field.has_presence or message.HasField(field.name):
            told[field.name] = _written(field, value, digits)
    return told


def from_json(given: Json, kind: type[M], path: str = "") -> M:
    """Returns the message in a JSON object. InvalidArgument: a field is unknown or does not fit."""
    message = kind()
    fill(message, given, path)
    return message


def fill(message: Message, given: Json, path: str = "") -> None:
    """Sets the fields that a JSON object has. null leaves a field unset.

    Raises InvalidArgument as `from_json`.
    """
    given = fields.of_kind(given, dict, path or "body")
    known = message.DESCRIPTOR.fields_by_name
    for name, value in given.items():
        place = f"{path}.{name}" if path else name
        if name not in known:
            wanted = f"one of {', '.join(sorted(known))}" if known else "no field"
            raise InvalidArgument.of(place, got="an unknown field", wanted=wanted)
        if value is not None:
            _set(message, known[name], value, place)


def schema_of(descriptor: Descriptor, name: Callable[[Descriptor], str]) -> dict[str, Json]:
    """Returns the JSON schema of a message. `name` gives the reference of a nested message."""
    properties = {field.name: _schema_of_field(field, name) for field in descriptor.fields}
    return {"type": "object", "properties": properties, "additionalProperties": False}


# Writing


def _written(field: Field, value: Any, digits: bool) -> Json:  # noqa: PLR0911 -- one return per case
    if field.message_type is not None:
        if field.message_type.full_name == _DURATION:
            return value.ToNanoseconds() / 1e9
        if field.message_type.full_name == _TIMESTAMP:
            return value.ToJsonString()
        return to_json(value, digits=digits)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(value).decode()
    if field.cpp_type == FieldDescriptor.CPPTYPE_UINT64:
        return str(value) if digits else value
    return number(value) if field.cpp_type in _FLOATS else value


def number(value: float) -> float | str:
    """Returns a number as JSON can express it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


# Reading


def _set(message: Any, field: Field, value: Json, path: str) -> None:
    if _is_map(field):
        _set_map(getattr(message, field.name), _value_field(field), value, path)
    elif field.is_repeated:
        for place, each in enumerate(fields.of_kind(value, list, path)):
            _append(getattr(message, field.name), field, each, f"{path}[{place}]")
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
        _fill_message(getattr(message, field.name), field, value, path)
    else:
        setattr(message, field.name, _read(field, value, path))


def _append(values: Any, field: Field, value: Json, path: str) -> None:
    if field.message_type is not None:
        _fill_message(values.add(), field, value, path)
    else:
        values.append(_read(field, value, path))


def _set_map(values: Any, field: Field, given: Json, path: str) -> None:
    """Sets a map of texts from any JSON values.

    A value that is no text becomes the text of its JSON, as for the settings of a job.
    """
    given = fields.of_kind(given, dict, path)
    for key, value in given.items():
        place = f"{path}[{key}]"
        if field.type == FieldDescriptor.TYPE_STRING and not isinstance(value, str):
            value = json.dumps(value)  # noqa: PLW2901 -- a text from here on
        values[key] = _read(field, value, place)


def _fill_message(message: Any, field: Field, value: Json, path: str) -> None:
    kind = field.message_type.full_name
    if kind == _DURATION:
        message.FromNanoseconds(round(_seconds(value, path) * 1e9))
    elif kind == _TIMESTAMP:
        message.CopyFrom(_time(value, path))
    else:
        fill(message, value, path)


def _read(field: Field, value: Json, path: str) -> Any:
    if field.enum_type is not None:
        return _enum(field.enum_type, value, path)
    if field.cpp_type in _RANGES:
        return fields.whole(value, *_RANGES[field.cpp_type], path)
    if field.cpp_type in _FLOATS:
        return fields.real(value, path)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return fields.of_kind(value, bool, path)
    text = fields.text(value, path)
    if field.type == FieldDescriptor.TYPE_BYTES:
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            raise InvalidArgument.of(path, got="no base64", wanted="bytes in base64") from None
    return text


def _enum(enum: EnumDescriptor, value: Json, path: str) -> int:
    known = enum.values_by_name.get(value) if isinstance(value, str) else None
    if known is None:
        wanted = f"one of {', '.join(enum.values_by_name)}"
        raise InvalidArgument.of(path, got=fields.came(value), wanted=wanted)
    return known.number


def _seconds(value: Json, path: str) -> float:
    seconds = fields.real(value, path)
    if not abs(seconds) <= MAX_SECONDS:
        raise InvalidArgument.of(path, got=seconds, wanted=f"seconds up to {MAX_SECONDS}")
    return seconds


def _time(value: Json, path: str) -> Timestamp:
    text = fields.text(value, path)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument.of(
            path, got=repr(text), wanted="a time, such as 2026-01-31T12:00:00Z"
        ) from None
    made = Timestamp()
    made.FromDatetime(found if found.tzinfo is None else found.astimezone(UTC))
    return made


# Schemas


def _schema_of_field(field: Field, name: Callable[[Descriptor], str]) -> dict[str, Json]:
    if _is_map(field):
        return {"type": "object", "additionalProperties": _schema_of_value(_value_field(field), name)}
    if field.is_repeated:
        return {"type": "array", "items": _schema_of_value(field, name)}
    return _schema_of_value(field, name)


def _schema_of_value(  # noqa: PLR0911 -- one return per case
    field: Field, name: Callable[[Descriptor], str]
) -> dict[str, Json]:
    if field.message_type is not None:
        if field.message_type.full_name == _DURATION:
            return {"type": "number", "description": "Seconds."}
        if field.message_type.full_name == _TIMESTAMP:
            return {"type": "string", "format": "date-time"}
        return {"$ref": name(field.message_type)}
    if field.enum_type is not None:
        return {"type": "string", "enum": list(field.enum_type.values_by_name)}
    if field.cpp_type == FieldDescriptor.CPPTYPE_UINT64:
        return {"type": ["string", "integer"], "pattern": "^[0-9]{1,20}$", "minimum": 0}
    if field.cpp_type in _RANGES:
        return {"type": "integer"}
    if field.cpp_type in _FLOATS:
        return {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"type": "boolean"}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    return {"type": "string"}


def _is_map(field: Field) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def _value_field(field: Field) -> Field:
    return field.message_type.fields_by_name["value"]
