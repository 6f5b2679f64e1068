"""The check of the Markdown pages: what it accepts, and what it reports with its line."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "docs/prose.py"


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    """The script as a module. docs/ is not a package."""
    specification = importlib.util.spec_from_file_location("prose", PATH)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text",
    [
        "word " * 20,
        "```\n" + "code " * 40 + "\n```",
        "- [a long link](" + "x" * 120 + ")",
        "| `" + "x" * 118 + "` |",
        "| a phrase; another [link](" + "x" * 200 + ") |",
        "| 0.92% to 1.5%, e.g. for Box |",
    ],
)
def test_what_is_accepted(prose: ModuleType, text: str) -> None:
    """100 columns, wide code, a line with only a link, and cells with a phrase are accepted."""
    assert list(prose.faults(text)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ok\n" + "word " * 21, "105 columns"),
        ("```\n```\nok " + "x" * 100, "103 columns"),
        ("\n| " + "word " * 25 + "|", "a table cell of 124 characters"),
        ("\n| One sentence. Another one. |", "two sentences"),
    ],
)
def test_what_is_reported(prose: ModuleType, text: str, fault: str) -> None:
    """The fault of the last line of each text is reported, with its reason."""
    [(line, message)] = prose.faults(text)
    assert line == len(text.splitlines())
    assert fault in message


def test_every_page_is_looked_at(prose: ModuleType) -> None:
    """The pages include those at the top, the guide and the notes."""
    names = {page.relative_to(PATH.parents[1]).as_posix() for page in prose.pages()}
    assert {"README.md", "ARCHITECTURE.md", "docs/guide/client.md", "docs/notes/training.md"} <= names
