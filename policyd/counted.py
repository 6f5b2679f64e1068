"""Numbers of things in words: `1 look`, `2 looks`."""

from __future__ import annotations


def counted(number: int, things: str) -> str:
    """Returns the number with its noun.

    `things` is the plural; its last word may become singular.
    """
    return f"{number:,} {things if number != 1 else _singular(things)}"


def _singular(things: str) -> str:
    for plural, singular in (("ies", "y"), ("ches", "ch"), ("sses", "ss")):
        if things.endswith(plural):
            return things.removesuffix(plural) + singular
    return things.removesuffix("s")
