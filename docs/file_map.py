"""Writes the map of files in ARCHITECTURE.md from the first sentence of each file's docstring.

`make map` rewrites it. `make check` passes --check, which only compares, and exits with 1 if the
map is stale.
"""

from __future__ import annotations

import ast
import itertools
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
PACKAGES = (
    "proto/policy_api/v1",
    "policyd",
    "server/policyd_server",
    "trainer/policyd_trainer",
    "examples",
    "benchmarks",
    "docs",
    "tests/contract",
    "tests/e2e",
)
KINDS = ("*.py", "*.pyx", "*.proto")
BEGIN, END = "<!-- map: written by `make map` -->\n", "<!-- end of map -->\n"


def file_map() -> str:
    """One section for each folder: what the folder is for, then a line for each of its files."""
    return "\n".join(_section(folder) for package in PACKAGES for folder in _folders(ROOT / package))


def _folders(package: Path) -> Iterator[Path]:
    """The package and those folders below it that hold files. Migrations count as data."""
    for folder in [package, *sorted(path for path in package.rglob("*") if path.is_dir())]:
        if "migrations" not in folder.parts and _files(folder):
            yield folder


def _files(folder: Path) -> list[Path]:
    """The files that people write. Code generated from .proto files is left out."""
    found = (path for kind in KINDS for path in folder.glob(kind) if "_pb2" not in path.stem)
    return sorted(path for path in found if path.stem != "__init__")


def _section(folder: Path) -> str:
    title = f"### `{folder.relative_to(ROOT).as_posix()}/`\n\n"
    about = _first_sentence(folder / "__init__.py")
    lines = [_entry(_name(path), _first_sentence(path)) for path in _files(folder)]
    return title + (f"{textwrap.fill(about, 100)}\n\n" if about else "") + "".join(lines)


def _name(path: Path) -> str:
    """The module's name. Files that are not Python keep their ending."""
    return path.stem if path.suffix == ".py" else path.name


def _entry(name: str, text: str) -> str:
    return textwrap.fill(f"- `{name}`: {text}", 100, subsequent_indent="  ", break_on_hyphens=False) + "\n"


def _first_sentence(path: Path) -> str:
    """The first sentence of a file's docstring, on one line; empty if the file is missing."""
    if not path.exists():
        return ""
    text = path.read_text()
    paragraph = _docstring(path.suffix, text).partition("\n\n")[0]
    sentence, end, _ = " ".join(paragraph.split()).partition(". ")
    return sentence + end.strip()


def _docstring(suffix: str, text: str) -> str:
    """The text at the top of a file: a docstring, or the leading comment of a .proto file."""
    if suffix == ".proto":
        comment = itertools.takewhile(lambda line: line.startswith("//"), text.splitlines())
        return "\n".join(line.removeprefix("//").strip() for line in comment)
    if suffix == ".pyx":  # Cython is not Python, but its docstring is at the top, too
        return text.partition('"""')[2].partition('"""')[0]
    return ast.get_docstring(ast.parse(text)) or ""


def main() -> int:
    """Rewrites or compares the map. Returns the exit code."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    wanted = f"{before}{BEGIN}\n{file_map()}\n{END}{after}"
    if wanted == text:
        return 0
    if "--check" in sys.argv[1:]:
        sys.stderr.write("ARCHITECTURE.md: the map of files is stale. Run `make map` and commit it.\n")
        return 1
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
