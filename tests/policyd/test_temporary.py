"""Temporary folders: nobody else's is touched, and none outlives its process for long."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from policyd.errors import FailedPrecondition
from policyd.temporary import TemporaryFolder

OWNER = """
import threading
from policyd.temporary import TemporaryFolder

folder = TemporaryFolder("work")
(folder.path / "file").write_text("x")
print(folder.path, flush=True)
threading.Event().wait()
"""
#: Makes folders beside others that do the same, and says whether each was its own until the end.
CROWD = """
from policyd.temporary import TemporaryFolder

for _ in range(100):
    with TemporaryFolder("work") as folder:
        (folder.path / "file").write_text("x")
        TemporaryFolder("work").remove()  # sweeps, too
        assert (folder.path / "file").read_text() == "x"
    assert not folder.path.exists()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of this process and of those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@contextmanager
def owner() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that has a folder, and this folder."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_folder_of_a_killed_process_is_removed_by_the_next() -> None:
    """A process after `kill -9` of another one removes its folder; that of a living one stays."""
    with owner() as (killed, leftover), owner() as (_, used):
        killed.kill()
        killed.wait()
        assert leftover.exists()
        with TemporaryFolder("other"):
            assert leftover.exists()
        with TemporaryFolder("work"):
            assert not leftover.exists()
            assert (used / "file").read_text() == "x"


def test_processes_that_start_together_keep_their_folders() -> None:
    """Each sweeps while the others make folders, and nobody loses one that is in use."""
    crowd = [subprocess.Popen([sys.executable, "-c", CROWD]) for _ in range(4)]
    assert [process.wait(timeout=120) for process in crowd] == [0, 0, 0, 0]


def test_it_is_removed_once_and_for_its_user_alone(place: Path) -> None:
    """No other user can look in, and removing it again does nothing."""
    folder = TemporaryFolder("work")
    root = folder.path.parent.parent
    assert root.parent == place
    assert root.stat().st_mode & 0o077 == 0
    folder.remove()
    folder.remove()
    assert not folder.path.exists()


def test_a_place_that_others_can_write_is_refused() -> None:
    """Its name can be guessed: somebody else could have made it."""
    folder = TemporaryFolder("work")
    folder.remove()
    root = folder.path.parent.parent
    root.chmod(0o777)
    with pytest.raises(FailedPrecondition, match="set TMPDIR"):
        TemporaryFolder("work")
    (root / "work").rmdir()
    root.rmdir()
    root.symlink_to("/tmp")
    with pytest.raises(FailedPrecondition, match="set TMPDIR"):
        TemporaryFolder("work")


def test_sockets_have_short_paths(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a long path a folder for sockets is made elsewhere, and a socket can be made there."""
    deep = place / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with TemporaryFolder("work") as plain, TemporaryFolder("work", sockets=True) as short:
        assert plain.path.is_relative_to(deep)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(short.path / "4194304.front"))
    assert not short.path.exists()
