"""Converts messages of the contract to JSON values, for `--json`."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def as_json(message: Message) -> Any:
    """Returns a message as JSON values: proto3's JSON with snake_case names and plain numbers.

    Durations are in seconds. Messages and optional fields that are not set are left out; all other
    fields are included, also where they are zero. A number that JSON does not have (infinity)
    becomes a string.
    """
    if isinstance(message, Timestamp):
        return message.ToJsonString()
    if isinstance(message, Duration):
        return message.ToNanoseconds() / 1e9
    return {
        field.name: _field(message, field)
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return {str(key): _value(entry.fields_by_name["value"], value[key]) for key in value}
    if field.is_repeated:
        return [_value(field, item) for item in value]
    return _value(field, value)


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return as_json(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    if field.type == FieldDescriptor.TYPE_BYTES:
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
