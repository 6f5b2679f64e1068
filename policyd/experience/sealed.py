"""The log of sealed episodes of one policy: what learners read.

    <root>/episodes/<policy>/<number>.log

One recorder appends; a learner reads from a position of its own and goes on where it was. Positions
stay valid when episodes are deleted. A segment that retention removes is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from policy_api.v1.experience_pb2 import ABANDONED, Episode
from policyd.experience.segments import (
    MAX_PAYLOAD,
    OVERWRITTEN,
    SegmentWriter,
    delete,
    overwrite,
    read,
    read_one,
)
from policyd.repository.durable import make_directory, sync_directory

EPISODE = 3
SEGMENT_BYTES = 64 << 20
AGE_PARTS = 4  # a segment is closed after at most 1/AGE_PARTS of the time that episodes are kept
#: A file that is touched when records are overwritten.
MARK = "overwritten"
#: Most bytes of an episode besides its steps, and of each step's tag and length.
_NAMES_BYTES, _STEP_HEAD = 4096, 6


class Position(NamedTuple):
    """A place in the log: the next episode is read from there."""

    segment: int = 1
    offset: int = 0


class Sealed(NamedTuple):
    """An episode, its position, and the position after it."""

    episode: Episode
    at: Position
    after: Position
    observed: bool = True  # False: the observations were deleted and are zeros


def read_sealed(folder: Path, position: Position = Position()) -> Iterator[Sealed]:  # noqa: B008 -- immutable
    """Yields the episodes from `position` on, oldest first, up to the present end of the log."""
    for number in _numbers(folder):
        if number < position.segment:
            continue
        offset = position.offset if number == position.segment else 0
        for record in read(segment_path(folder, number), offset):
            at, after = Position(number, record.offset), Position(number, record.end)
            episode = Episode.FromString(record.payload)
            yield Sealed(episode, at, after, observed=record.kind < OVERWRITTEN)


def read_at(folder: Path, position: Position) -> Episode | None:
    """Returns the episode at a position; None if it or its observations were deleted meanwhile."""
    with suppress(FileNotFoundError, ValueError):
        record = read_one(segment_path(folder, position.segment), position.offset)
        if record.kind < OVERWRITTEN:
            return Episode.FromString(record.payload)
    return None


def episodes_of(segment: Path) -> Iterator[Episode]:
    """The episodes of one segment, oldest first."""
    for record in read(segment):
        yield Episode.FromString(record.payload)


def first_since(folder: Path, when: float) -> Position:
    """Returns the position from which to read the episodes sealed at or after `when` (seconds)."""
    numbers = _numbers(folder)
    later = (number for number in numbers if segment_path(folder, number).stat().st_mtime >= when)
    return Position(next(later, numbers[-1] if numbers else 1))


def overwritten(folder: Path) -> int:
    """When records of a log were last overwritten, in nanoseconds; 0: never."""
    try:
        return (folder / MARK).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


class SealedLog:
    """Appends sealed episodes of one policy to its log."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        make_directory(folder)
        numbers = _numbers(folder)
        self._number = numbers[-1] if numbers else 1
        self._writer = SegmentWriter(segment_path(folder, self._number))
        self._begun = 0.0 if self._writer.size else time.time()  # 0: an earlier process began the segment

    def append(self, episode: Episode) -> int:
        """Queues an episode for the next commit. Returns the number of steps that were left out.

        A record has at most MAX_PAYLOAD bytes. Of a longer episode, `episode` keeps the first steps
        that fit, and counts as abandoned.
        """
        payload, left_out = episode.SerializeToString(), 0
        if len(payload) > MAX_PAYLOAD:
            left_out = _shorten(episode)
            payload = episode.SerializeToString()
        self._writer.append(EPISODE, payload)
        return left_out

    def commit(self) -> None:
        """Makes what is queued durable. OSError: nothing was written."""
        self._writer.commit()
        if self._writer.size >= self._segment_bytes:
            self._close_segment()

    def _close_segment(self) -> None:
        """Begins a new segment with the next episode."""
        with suppress(OSError):  # on a full disk, this segment is used further
            following = SegmentWriter(segment_path(self.folder, self._number + 1))
            self._writer.close()
            self._number += 1
            self._writer, self._begun = following, time.time()

    def since(self, when: float) -> Iterator[Episode]:
        """Yields the episodes of every segment that was written to since `when`.

        `when` is in seconds since the epoch.
        """
        for number in _numbers(self.folder):
            if segment_path(self.folder, number).stat().st_mtime >= when:
                yield from episodes_of(segment_path(self.folder, number))

    def delete(self, matches: Callable[[Episode], bool]) -> int:
        """Overwrites every episode that matches, and returns how many did."""
        found: dict[int, list[int]] = {}
        for sealed in read_sealed(self.folder):
            if matches(sealed.episode):
                found.setdefault(sealed.at.segment, []).append(sealed.at.offset)
        with self._overwriting():
            for number, offsets in found.items():
                delete(segment_path(self.folder, number), offsets)
        return sum(map(len, found.values()))

    def forget_observations(self, begin: Position, end: Position) -> Position:
        """Overwrites the observations of the episodes between two positions with zeros.

        This cannot be undone. Returns the position up to which it was done.
        """
        with self._overwriting():
            return self._forget(begin, end)

    @contextmanager
    def _overwriting(self) -> Iterator[None]:
        """Marks the log as overwritten, before and after the block, for those who copy it."""
        (self.folder / MARK).touch()
        yield
        (self.folder / MARK).touch()

    def _forget(self, begin: Position, end: Position) -> Position:
        for number in _numbers(self.folder):
            if not begin.segment <= number <= end.segment:
                continue
            path = segment_path(self.folder, number)
            for record in read(path, begin.offset if number == begin.segment else 0):
                if (number, record.end) > end:
                    return end
                if record.kind < OVERWRITTEN:
                    overwrite(path, record, _without_observations(record.payload))
        return end

    def expire(self, max_age: float, before: Callable[[Path], None] = lambda _: None) -> int:
        """Deletes whole segments that were last written to over `max_age` seconds ago.

        The newest segment stays, but it is closed when it is old enough, even if it holds little.
        `before` is called with each segment before it is deleted. Returns the number of deleted
        segments.
        """
        since = time.time() - max_age
        is_old = self._begun <= time.time() - max_age / AGE_PARTS
        if is_old and self._writer.end == self._writer.size > 0:  # no record waits for a commit
            self._close_segment()
        paths = [segment_path(self.folder, number) for number in _numbers(self.folder)[:-1]]
        stale = [path for path in paths if path.stat().st_mtime < since]
        for path in stale:
            before(path)
            path.unlink()
        if stale:
            sync_directory(self.folder)
        return len(stale)

    @property
    def disk_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment_path(self.folder, number).stat().st_size for number in _numbers(self.folder))

    def close(self) -> None:
        """Closes the newest segment."""
        self._writer.close()


def _shorten(episode: Episode) -> int:
    """Removes the steps for which a record has no room. Returns their number."""
    sizes = accumulate(step.ByteSize() + _STEP_HEAD for step in episode.steps)
    kept = sum(size <= MAX_PAYLOAD - _NAMES_BYTES for size in sizes)
    left_out = len(episode.steps) - kept
    del episode.steps[kept:]
    episode.end = ABANDONED
    episode.ClearField("final_observation")
    return left_out


def _without_observations(payload: bytes) -> bytes:
    """Returns a serialised episode of the same length with zeros instead of its observations."""
    episode = Episode.FromString(payload)
    episode.final_observation = bytes(len(episode.final_observation))
    for step in episode.steps:
        step.observation = bytes(len(step.observation))
    return episode.SerializeToString()


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.log"))


def segment_path(folder: Path, number: int) -> Path:
    """Returns the path of a segment."""
    return folder / f"{number:08d}.log"
