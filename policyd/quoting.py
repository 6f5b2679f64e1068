"""Text that came from outside, made safe to show: bounded in length, control characters escaped."""

from __future__ import annotations

import unicodedata

#: Characters of a value that an error message or a log line quotes.
MAX_QUOTED = 200


def shown(value: object, limit: int = MAX_QUOTED) -> str:
    """Returns `value` as one line of text.

    A longer text is cut after `limit` characters, and its length is added.
    """
    if isinstance(value, int) and abs(value) >= 10**limit:
        return f"a whole number of more than {limit} digits"  # Python refuses to convert such numbers to text
    text = str(value)
    if len(text) > limit:
        return f"{escaped(text[:limit])}... ({len(text)} characters)"
    return escaped(text)


def escaped(text: str) -> str:
    """Returns `text` with line ends and other unprintable characters escaped as in Python."""
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def readable(text: str) -> str:
    """Returns `text` as a terminal or a page may show it: with line ends, tabs and spaces.

    All other unprintable characters are escaped as in Python: sequences that colour a terminal or
    move its cursor, bells, and marks that change the direction of text.
    """
    if text.isprintable():
        return text
    return "".join(character if _is_layout(character) else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _is_layout(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) == "Zs"
