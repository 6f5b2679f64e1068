"""The code blocks of README and guide, and the commands that their shell blocks run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md")))
#: Commands that blocks run, in addition to those of the shell. None is run here; all are recorded.
COMMANDS = (
    *("policyctl", "policyd-server", "policyd-trainer", ".venv/bin/policyctl", ".venv/bin/activate"),
    *("deploy/secrets", "examples/ci/retrain.sh", "python", "pip", "make", "docker", "docker-compose"),
    *("curl", "ray", "kubectl", "openssl", "sha256sum", "grep", "node", "npm"),
)

# Writes the variables of policyd, the command's name and its arguments in one write, because the
# commands of a pipe run at the same time.
_STUB = """#!/bin/sh
record=$(/usr/bin/env | while read -r line; do
    case "$line" in POLICYD_*|_POLICYCTL_*) printf '%s\\037' "$line";; esac
  done
  printf '%s\\037' NAME "$@")
printf '%s\\036' "$record" >> "$CALLS"
"""


class Block(NamedTuple):
    """A fenced block: its file, its place there, its language and its text."""

    page: Path
    place: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.place}"


class Call(NamedTuple):
    """One command of a block, as the shell would start it."""

    variables: dict[str, str]
    name: str
    arguments: list[str]


def blocks(*languages: str) -> list[Block]:
    """The blocks of these languages on all pages, in order."""
    found = (
        Block(page, place, language, text)
        for page in PAGES
        for place, (language, text) in enumerate(
            re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        )
    )
    return [block for block in found if block.language in languages]


def calls(text: str, folder: Path) -> list[Call]:
    """The commands that a shell starts for a block, in order.

    Raises:
        AssertionError: the syntax is wrong, or a command is unknown.
    """
    recorded = folder / "calls"
    recorded.touch()
    for name in COMMANDS:
        stub = folder / ("stubs" if "/" not in name else ".") / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(_STUB.replace("NAME", name))
        stub.chmod(0o755)
    (folder / ".venv/bin/activate").write_text("")
    for name in ("cat", "tr"):
        (folder / "stubs" / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/bash", "-euc", text],
        cwd=folder,
        env={"PATH": str(folder / "stubs"), "CALLS": str(recorded), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [_call(record.split("\037")[:-1]) for record in recorded.read_text().split("\036")[:-1]]


def _call(words: list[str]) -> Call:
    start = next(
        place for place, word in enumerate(words) if not re.match(r"(POLICYD|_POLICYCTL)_\w+=", word)
    )
    variables = dict(word.split("=", 1) for word in words[:start])
    return Call(variables, Path(words[start]).name, words[start + 1 :])
