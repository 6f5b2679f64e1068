"""Which Python `make install` takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: A pyenv shim of a version that is not selected: it is on the path, but only says so.
SHIM = 'echo "pyenv: $0: command not found" >&2; exit 127'
#: A Python before 3.11: it runs, but fails a check of its version.
OLD = 'case "$2" in *version_info*) exit 1;; esac'
THIS = f'exec {sys.executable} "$@"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that is the whole PATH: make and a shell, without a Python."""
    for name in ("make", "sh"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def _python(path: Path, name: str, script: str = THIS) -> None:
    """Makes a Python with this name: the current one, or the given script."""
    file = path / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def _install(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `make install` for a new environment. With -n in `arguments` it prints the steps."""
    return subprocess.run(
        ["make", "install", f"VENV={path / 'venv'}", *arguments],
        cwd=ROOT, env={"PATH": str(path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_newest_python_that_runs_is_taken(path: Path) -> None:
    """A shim that only says that there is no such Python does not count."""
    _python(path, "python3.13", SHIM)
    _python(path, "python3.12")
    _python(path, "python3.11")
    assert "python3.12 -m venv" in _install(path, "-n").stdout


def test_a_python_without_a_number_is_taken_too(path: Path) -> None:
    """If only `python3` exists, it is used."""
    _python(path, "python3")
    assert "python3 -m venv" in _install(path, "-n").stdout


@pytest.mark.parametrize("name", ["", "python3"])
def test_too_old_or_none_is_one_line(path: Path, name: str) -> None:
    """The message says which versions work and how to name one, without a traceback."""
    if name:
        _python(path, name, OLD)
    done = _install(path)
    first, *rest = done.stderr.splitlines()
    assert done.returncode == 2
    assert first == "policyd needs Python 3.11, 3.12 or 3.13: make install PYTHON=/path/to/python3"
    assert all(line.startswith("make: ***") for line in rest)
    assert not (path / "venv").exists()


def test_python_names_another(path: Path) -> None:
    """PYTHON takes precedence over newer versions, from the command line and the environment."""
    _python(path, "python3.13")
    assert "/opt/mine -m venv" in _install(path, "-n", "PYTHON=/opt/mine").stdout
    done = subprocess.run(
        ["make", "-n", "install", f"VENV={path / 'venv'}"],
        cwd=ROOT, env=os.environ | {"PYTHON": "/opt/mine"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "/opt/mine -m venv" in done.stdout
