"""Text that came from outside, made safe to show: bounded in length, control characters escaped."""

from __future__ import annotations

#: Characters of a value that an error message or a log line quotes.
MAX_QUOTED = 200


def shown(value: object, limit: int = MAX_QUOTED) -> str:
    """`value` as one line of text.

    A longer text is cut after `limit` characters, and its length is told.
    """
    if isinstance(value, int) and abs(value) >= 10**limit:
        return f"a whole number of more than {limit} digits"  # Python refuses to write some of them
    text = str(value)
    if len(text) > limit:
        return f"{escaped(text[:limit])}... ({len(text)} characters)"
    return escaped(text)


def escaped(text: str) -> str:
    """`text` with line ends and other unprintable characters written as Python escapes them."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
