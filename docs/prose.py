"""Checks the lines and table cells of every Markdown page. Part of `make check`.

A line of prose has at most 100 columns. A table cell holds one phrase of at most 120 characters,
not two sentences. Code blocks may be wider, and so may a line that is a single link.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "examples", "proto", "policyd", "server", "trainer", "benchmarks", "deploy", "tests")
COLUMNS, CELL = 100, 120
LINK = re.compile(r"(!?\[[^\]]*\])\([^)]*\)")  # [text](target): only the text is read
CODE = re.compile(r"`[^`]*`")
TWO_SENTENCES = re.compile(r"[a-z0-9)`][.!?] +[A-Z]")


def pages() -> list[Path]:
    """The Markdown pages of the checkout."""
    below = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *below])


def faults(text: str) -> Iterator[tuple[int, str]]:
    """The line number and the description of each fault of a page."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif in_code:
            continue
        elif line.lstrip().startswith("|"):
            yield from ((number, fault) for cell in cells(line) if (fault := _cell_fault(cell)))
        elif len(line) > COLUMNS and " " in LINK.sub("", line.strip(" -*")).strip():
            yield number, f"{len(line)} columns, at most {COLUMNS}"


def cells(row: str) -> list[str]:
    """The cells of a table row as a reader sees them, without the targets of links."""
    return [LINK.sub(r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]


def _cell_fault(cell: str) -> str:
    if len(cell) > CELL:
        return f"a table cell of {len(cell)} characters, at most {CELL}: {cell[:40]}..."
    if TWO_SENTENCES.search(CODE.sub("`", cell)):
        return f"a table cell with two sentences, at most one phrase: {cell[:40]}..."
    return ""


def main() -> int:
    """Prints each fault as FILE:LINE: fault. Returns the exit code."""
    found = [
        f"{page.relative_to(ROOT)}:{line}: {fault}"
        for page in pages()
        for line, fault in faults(page.read_text())
    ]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
