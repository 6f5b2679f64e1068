"""Local copies of a store's files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from policyd.repository import kept_files
from policyd.repository.kept_files import KeptFiles


def test_the_least_recently_read_files_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a file counts as using it."""
    monkeypatch.setattr(kept_files, "MAX_BYTES", 20)
    kept = KeptFiles(tmp_path / "files")
    contents = {hashlib.sha256(each).hexdigest(): each for each in (b"1" * 10, b"2" * 10, b"3" * 10)}
    first, second, third = contents
    for age, digest in ((200, first), (100, second)):
        kept.keep(digest, contents[digest])
        os.utime(tmp_path / "files" / digest, times=(1e9 - age, 1e9 - age))
    assert kept.read(first, 10) == contents[first]
    kept.keep(third, contents[third])
    assert [kept.read(digest, 10) for digest in contents] == [b"1" * 10, None, b"3" * 10]
