"""Ray's errors as one line, for logs and messages."""

from __future__ import annotations

_TRACEBACK = "Traceback (most recent call last):"
MAX_CHARACTERS = 500


def in_one_line(error: BaseException) -> str:
    """What an error of Ray says, in one line, without its server's stack and actors' names.

    Ray's servers return whole tracebacks, whose frames are indented. The last line has the reason.
    """
    kept = [line.replace(_TRACEBACK, "").strip() for line in str(error).splitlines() if _says(line)]
    return "; ".join(filter(None, kept))[:MAX_CHARACTERS] or type(error).__name__


def _says(line: str) -> bool:
    return not line.startswith((" ", "\t")) and "actor_id" not in line
