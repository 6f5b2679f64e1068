"""Tests stand under the path of what they test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
#: Import name of a package that people wrote -> the folder that it is imported from. policy_api is
#: generated.
SOURCES = {"policyd": ROOT, "policyd_server": ROOT / "server", "policyd_trainer": ROOT / "trainer"}

#: Folders of tests that mirror no package, and why.
EXCEPTIONS = {
    "policyd_server/front/fuzz": "a harness in C for the sources in front/core, which is no package",
    "policyd/client/wire/fuzz": "a harness in C for the sources in wire/core, which is no package",
    "policyd_trainer/awkward": "environments that the trainer's tests train on",
    "policyd_server/compiled/fuzz": "a harness for the modules of compiled, which runs under sanitizers",
}


def folders(root: Path, pattern: str) -> set[str]:
    """The folders below `root`, and `root`, that have a file of this pattern.

    They are paths from root's parent.
    """
    return {str(file.parent.relative_to(root.parent)) for file in root.rglob(pattern)}


def packages(name: str) -> Iterator[str]:
    """The packages below `name` that have a module.

    A folder without __init__.py is data.
    """
    for marker in (SOURCES[name] / name).rglob("__init__.py"):
        if any(file != marker for file in marker.parent.glob("*.py*")):
            yield str(marker.parent.relative_to(SOURCES[name]))


@pytest.mark.parametrize("name", SOURCES)
def test_every_package_has_its_folder_of_tests(name: str) -> None:
    """The tests of `policyd_server.acting` are in tests/policyd_server/acting.

    The same holds for every package.
    """
    missing = set(packages(name)) - folders(TESTS / name, "test_*.py")
    assert not missing, f"no tests/{'/'.join(missing)}/test_*.py"


@pytest.mark.parametrize("name", SOURCES)
def test_every_folder_of_tests_has_its_package(name: str) -> None:
    """A folder of tests without a package would test something that was moved or removed."""
    unknown = folders(TESTS / name, "*.py") - set(packages(name)) - EXCEPTIONS.keys()
    assert not unknown, f"no package {', '.join(sorted(unknown))}"
