"""Why the image is left out of the serving benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving import container
from benchmarks.serving.contestants import CONTESTANTS, available


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def _place(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_without_the_programs_the_image_is_left_out(programs: Path) -> None:
    """Both contestants are named in one line, with the first program that is missing."""
    names, left_out = available()
    assert left_out == "policyd image and policyd image, host network: docker is not installed"
    assert set(CONTESTANTS) - set(names) == {"policyd image", "policyd image, host network"}
    _place(programs, "docker", "")
    assert container.missing() == "docker-compose is not installed"


def test_an_engine_that_does_not_respond_is_quoted_in_one_line(programs: Path) -> None:
    """The reason is what `docker info` says."""
    _place(programs, "docker-compose", "")
    _place(programs, "docker", 'printf "no engine\\nhere\\n" >&2; exit 1')
    assert container.missing() == "no engine here"
    _place(programs, "docker", "echo a warning >&2")
    assert available() == (tuple(CONTESTANTS), "")
