"""The log of a job stays small."""

from __future__ import annotations

from pathlib import Path

from policyd_trainer.guardian.log import OLDER, BoundedLog


def test_the_newest_part_is_kept(tmp_path: Path) -> None:
    """Neither file is larger than allowed, and together they end with the newest content."""
    path = tmp_path / "folder" / "worker.log"
    log = BoundedLog(path, largest=100)
    written = b"".join(b"line %d\n" % i for i in range(100))
    for start in range(0, len(written), 37):
        log.write(written[start : start + 37])
    log.close()
    older = path.with_name(path.name + OLDER)
    assert older.stat().st_size == 100
    assert path.stat().st_size <= 100
    assert written.endswith(older.read_bytes() + path.read_bytes())


def test_a_file_that_cannot_be_renamed_is_written_further(tmp_path: Path) -> None:
    """What comes then goes into the same file, and nowhere else."""
    path = tmp_path / "worker.log"
    path.with_name("worker.log.1").mkdir()
    log = BoundedLog(path, largest=10)
    log.write(b"0123456789")
    log.write(b"lost")
    path.with_name("worker.log.1").rmdir()
    log.write(b"new")
    log.close()
    assert path.with_name("worker.log.1").read_bytes() == b"0123456789"
    assert path.read_bytes() == b"new"


def test_a_piece_larger_than_the_file(tmp_path: Path) -> None:
    """A piece larger than the file is split among files. An existing log is continued."""
    path = tmp_path / "worker.log"
    path.write_bytes(b"before ")
    log = BoundedLog(path, largest=10)
    log.write(b"0123456789" * 3)
    log.close()
    assert (path.with_name("worker.log.1").read_bytes() + path.read_bytes()).endswith(b"0123456789")
