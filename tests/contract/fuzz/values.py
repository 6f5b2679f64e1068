"""Values that a client should not send, by the kind of a message's field.

And messages filled with them.
"""

from __future__ import annotations

import random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

MAX_DEPTH = 4

TEXTS = (
    "",
    "champion",
    "1",
    "9" * 300,
    "9" * 5000,
    "-1",
    "0x10",
    "1e999",
    "١٢٣",
    "²",
    "nan",
    "a" * 100_000,
    "é" * 50_000,
    "🦆" * 3000,
    "../../etc/passwd",
    "a/b",
    "a\0b",
    "line\nbreak policyd.audit: caller=root",
    "\x1b[2J",
    "\u2028",
    "%s %n {0} $(reboot)",
    "_" * 64,
)
INTEGERS = (0, 1, -1, 2, 127, 2**31 - 1, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63), 2**64 - 1, 1000)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-320, 1e308, 3e38, -3e38, float("inf"), float("-inf"), float("nan"))
BYTES = (
    b"",
    b"\0",
    b"\xff" * 3,
    bytes(4),
    bytes(16),
    b"\x7f" * 16,
    bytes(17),
    b"\xff" * 4096,
    bytes(112_897),
)
COUNTS = (0, 1, 1, 2, 4, 5, 300)

_RANGES = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
}


def fill(message: Message, rng: random.Random, depth: int = 0) -> None:
    """Sets some fields of a message to values from these tables."""
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.4:
            spoil(message, field, rng, depth)


def spoil(message: Message, field: Any, rng: random.Random, depth: int = 0) -> None:
    """Sets one field of a message to a value from these tables."""
    if depth > MAX_DEPTH:
        return
    held: Any = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _put(held, field, rng, depth)
    elif field.is_repeated:
        for _ in range(rng.choice(COUNTS[:-1]) if field.message_type is not None else rng.choice(COUNTS)):
            if field.message_type is not None:
                fill(held.add(), rng, depth + 1)
            else:
                held.append(value(field, rng))
    elif field.message_type is not None:
        held.SetInParent()
        fill(held, rng, depth + 1)
    else:
        setattr(message, field.name, value(field, rng))


def value(field: Any, rng: random.Random) -> Any:
    """A value that the field can hold."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.choice(BYTES)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        number = rng.choice(FLOATS)
        return number if field.type == FieldDescriptor.TYPE_DOUBLE or abs(number) < 3.5e38 else float("inf")
    low, high = _RANGES[field.type]
    return rng.choice([number for number in INTEGERS if low <= number <= high])


def _put(held: Any, field: Any, rng: random.Random, depth: int) -> None:
    """Adds an entry to a map. Its keys include the names of some parameters."""
    key_field, value_field = field.message_type.fields
    names = ("seed", "first_row", "deterministic", "temperature", "shared_memory_region", "priority")
    for _ in range(rng.choice((1, 1, 2))):
        text = key_field.type == FieldDescriptor.TYPE_STRING
        key = rng.choice(names) if text and rng.random() < 0.8 else value(key_field, rng)
        if value_field.message_type is not None:
            fill(held[key], rng, depth + 1)
        else:
            held[key] = value(value_field, rng)
