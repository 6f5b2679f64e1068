"""Files of records survive a writer that dies at any byte, and deletions."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policyd.experience.segments import (
    HEADER,
    OVERWRITTEN,
    SegmentWriter,
    delete,
    frame,
    overwrite,
    read,
    read_one,
    recover,
)

PAYLOADS = [b"first", b"", b"x" * 3000, b"last"]


def _written(path: Path) -> list[int]:
    writer = SegmentWriter(path)
    offsets = [writer.append(1, payload) for payload in PAYLOADS]
    writer.commit()
    writer.close()
    return offsets


def test_records_come_back_in_order(tmp_path: Path) -> None:
    """Committed records are read in order, from the beginning and from each record's offset."""
    offsets = _written(tmp_path / "a.log")
    assert [record.payload for record in read(tmp_path / "a.log")] == PAYLOADS
    assert [read_one(tmp_path / "a.log", offset).payload for offset in offsets] == PAYLOADS


def test_a_writer_that_died_at_any_byte_loses_only_the_record_it_was_writing(tmp_path: Path) -> None:
    """For every length of the file the whole records stay.

    The next writer appends after them.
    """
    offsets = _written(tmp_path / "whole.log")
    whole = (tmp_path / "whole.log").read_bytes()
    for length in [*range(120), *range(len(whole) - 60, len(whole) + 1)]:
        path = tmp_path / "cut.log"
        path.write_bytes(whole[:length])
        ends = [at + HEADER.size + len(p) for at, p in zip(offsets, PAYLOADS, strict=True)]
        intact = sum(end <= length for end in ends)
        writer = SegmentWriter(path)
        writer.append(2, b"next")
        writer.commit()
        writer.close()
        assert [record.payload for record in read(path)] == [*PAYLOADS[:intact], b"next"]


@given(data=st.binary(max_size=400))
def test_any_bytes_are_read_without_an_error(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Reading ends at the damage, and never raises.

    Recovery leaves a file that reads the same.
    """
    path = tmp_path_factory.mktemp("segments") / "any.log"
    path.write_bytes(frame(1, b"good") + data)
    before = list(read(path))
    assert before[0].payload == b"good"
    recover(path)
    assert list(read(path)) == before


def test_a_deleted_record_is_gone_from_the_disk(tmp_path: Path) -> None:
    """The record's bytes are zeros, others keep their offsets, and a writer appends after them."""
    path = tmp_path / "a.log"
    offsets = _written(path)
    delete(path, offsets[2:3])
    assert b"xxx" not in path.read_bytes()
    assert [(r.offset, r.payload) for r in read(path)] == [(offsets[i], PAYLOADS[i]) for i in (0, 1, 3)]
    assert recover(path) == 0
    with pytest.raises(ValueError, match="no intact record"):
        read_one(path, offsets[2])


def test_a_crash_while_deleting_leaves_the_other_records(tmp_path: Path) -> None:
    """The record's kind is changed first.

    Readers then skip it, whichever part of the payload is already zero.
    """
    path = tmp_path / "a.log"
    offsets = _written(path)
    data = bytearray(path.read_bytes())
    data[offsets[2] : offsets[2] + HEADER.size] = HEADER.pack(3000, 0, 0)
    data[offsets[2] + HEADER.size : offsets[2] + HEADER.size + 17] = bytes(17)
    path.write_bytes(data)
    assert [record.payload for record in read(path)] == [PAYLOADS[i] for i in (0, 1, 3)]


def test_a_full_disk_leaves_nothing_of_the_failed_commit(tmp_path: Path) -> None:
    """A process that may write 4,096 bytes fails in the second commit. The file has the first."""
    path = tmp_path / "a.log"
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        writer = SegmentWriter(path)
        writer.append(1, b"kept")
        writer.commit()
        writer.append(1, b"y" * 8000)
        try:
            writer.commit()
        except OSError as error:
            os._exit(0 if error.errno == errno.EFBIG and writer.size == path.stat().st_size else 2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert [record.payload for record in read(path)] == [b"kept"]


def test_an_overwritten_record_keeps_its_place(tmp_path: Path) -> None:
    """Other records stay, a writer appends after them, and another length is refused."""
    path = tmp_path / "a.log"
    offsets = _written(path)
    overwrite(path, read_one(path, offsets[2]), bytes(3000))
    with pytest.raises(ValueError, match="expected 5"):
        overwrite(path, read_one(path, offsets[0]), b"longer")
    writer = SegmentWriter(path)
    writer.append(1, b"next")
    writer.commit()
    writer.close()
    records = list(read(path))
    assert [record.payload for record in records] == [b"first", b"", bytes(3000), b"last", b"next"]
    assert [record.kind for record in records] == [1, 1, 1 + OVERWRITTEN, 1, 1]


@pytest.mark.parametrize("written", [0, 4, HEADER.size, HEADER.size + 1, HEADER.size + 2999])
def test_an_overwriting_that_died_leaves_the_file_readable(tmp_path: Path, written: int) -> None:
    """After any number of bytes, the record is the old one, the new one, or partly new."""
    path = tmp_path / "a.log"
    offsets = _written(path)
    before = path.read_bytes()
    overwrite(path, read_one(path, offsets[2]), bytes(3000))
    after = path.read_bytes()
    header = written >= HEADER.size  # it is durable before the payload changes, and is written as one
    cut = offsets[2] + (written if header else 0)
    path.write_bytes(after[:cut] + before[cut:])
    payload = read_one(path, offsets[2]).payload
    fresh = written - HEADER.size if header else 0
    assert payload == bytes(fresh) + PAYLOADS[2][fresh:]
    assert read_one(path, offsets[3]).payload == b"last"
