"""A store's last answers, on a disk that may be full."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from policyd.errors import Unavailable
from policyd.repository.last_answers import LastAnswers


@contextmanager
def _full_disk() -> Iterator[None]:
    """No file can grow beyond 10 bytes; the error is the one of a file that is too large."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _away() -> bytes:
    raise Unavailable("away")


def test_a_full_disk_stops_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The answer goes on, no scratch file is left, and nothing older is used later in its place."""
    caplog.set_level(logging.WARNING)
    answers = LastAnswers("s3://b", tmp_path / "answers")
    assert answers.bytes_of("k", lambda: b"old", 100) == b"old"
    with _full_disk():
        assert answers.bytes_of("k", lambda: b"n" * 50, 100) == b"n" * 50
    assert "cannot be written" in caplog.text
    assert [path.name for path in tmp_path.rglob("*")] == ["answers"]
    with pytest.raises(Unavailable):
        answers.bytes_of("k", _away, 100)
