"""Which Python `make install` takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: A pyenv shim of a version that is not selected: it is on the path and only says so.
SHIM = 'echo "pyenv: $0: command not found" >&2; exit 127'
#: A Python before 3.11: it runs, and a check of its version fails.
OLD = 'case "$2" in *version_info*) exit 1;; esac'
THIS = f'exec {sys.executable} "$@"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that is the whole PATH: make and a shell, no Python."""
    for name in ("make", "sh"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def _python(path: Path, name: str, script: str = THIS) -> None:
    """A Python of this name: this one, or what the script does."""
    file = path / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def _install(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make install` into a new environment does, or would do where `arguments` have -n."""
    return subprocess.run(
        ["make", "install", f"VENV={path / 'venv'}", *arguments],
        cwd=ROOT, env={"PATH": str(path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_newest_python_that_runs_is_taken(path: Path) -> None:
    """A shim that only says that there is no such Python does not count as one."""
    _python(path, "python3.13", SHIM)
    _python(path, "python3.12")
    _python(path, "python3.11")
    assert "python3.12 -m venv" in _install(path, "-n").stdout


def test_a_python_without_a_number_is_taken_too(path: Path) -> None:
    """Where only `python3` is there, it is used."""
    _python(path, "python3")
    assert "python3 -m venv" in _install(path, "-n").stdout


@pytest.mark.parametrize("name", ["", "python3"])
def test_too_old_or_none_is_one_line(path: Path, name: str) -> None:
    """It says which Pythons will do and how to name one; there is no traceback."""
    if name:
        _python(path, name, OLD)
    done = _install(path)
    first, *rest = done.stderr.splitlines()
    assert done.returncode == 2
    assert first == "policyd needs Python 3.11, 3.12 or 3.13: make install PYTHON=/path/to/python3"
    assert all(line.startswith("make: ***") for line in rest)
    assert not (path / "venv").exists()


def test_python_names_another(path: Path) -> None:
    """PYTHON wins over what is newer, on the command line and in the environment."""
    _python(path, "python3.13")
    assert "/opt/mine -m venv" in _install(path, "-n", "PYTHON=/opt/mine").stdout
    done = subprocess.run(
        ["make", "-n", "install", f"VENV={path / 'venv'}"],
        cwd=ROOT, env=os.environ | {"PYTHON": "/opt/mine"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "/opt/mine -m venv" in done.stdout
