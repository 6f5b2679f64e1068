"""Text that came from outside, made safe to show: bounded in length, control characters escaped."""

from __future__ import annotations

import unicodedata

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
    return "".join(map(_escaped, text))


def readable(text: str) -> str:
    """`text` as a terminal or a page may show it: in lines, with tabs and every kind of space.

    All else that does not print is written as Python escapes it: sequences that colour a terminal
    or move its cursor, bells, marks that turn the direction of text.
    """
    if text.isprintable():
        return text
    return "".join(character if _is_layout(character) else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _is_layout(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) == "Zs"
