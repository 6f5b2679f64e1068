"""The journal of one writer: decisions and outcomes of open episodes.

    <root>/journal/<number>.log

Segments are numbered 1, 2, 3. A segment is deleted when no open episode has a decision or an
outcome in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.book import EpisodeKey, OpenEpisode, Place
from policyd.experience.segments import SegmentWriter, delete, read, read_one
from policyd.repository.durable import make_directory, sync_directory

DECISION, OUTCOME = 1, 2
SEGMENT_BYTES = 32 << 20


class Entry(NamedTuple):
    """One record of the journal, as it is read after a restart."""

    place: Place
    record: pb.DecisionRecord | pb.OutcomeRecord


class Journal:
    """Appends to the newest segment, and deletes segments that are not needed."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        make_directory(folder)
        numbers = self._numbers()
        self._number = numbers[-1] if numbers else 1
        self._writer = SegmentWriter(self._path(self._number))

    def entries(self) -> Iterator[Entry]:
        """Yields every record that an earlier process left, oldest first."""
        for number in self._numbers():
            for record in read(self._path(number)):
                message = pb.DecisionRecord() if record.kind == DECISION else pb.OutcomeRecord()
                message.ParseFromString(record.payload)
                yield Entry(Place(number, record.offset), message)

    def decision(self, payload: bytes) -> Place:
        """Queues a serialised DecisionRecord and returns its place."""
        return Place(self._number, self._writer.append(DECISION, payload))

    @property
    def place(self) -> Place:
        """Returns the place of the next record."""
        return Place(self._number, self._writer.end)

    def framed(self, records: bytes) -> None:
        """Queues records of decisions that already have their frames."""
        self._writer.append_framed(records)

    def outcome(self, record: pb.OutcomeRecord) -> Place:
        """Queues an outcome and returns its place."""
        return Place(self._number, self._writer.append(OUTCOME, record.SerializeToString()))

    def commit(self, *, durable: bool) -> None:
        """Writes the queued records. If the segment is full, begins a new one.

        OSError: nothing was written.
        """
        self._writer.commit(durable=durable)
        if self._writer.size >= self._segment_bytes:
            self._begin_segment()

    def _begin_segment(self) -> None:
        """Begins the next segment. If the disk is full, the present segment is used further."""
        with suppress(OSError):
            self._writer.commit(durable=True)
            following = SegmentWriter(self._path(self._number + 1))
            self._writer.close()
            self._number += 1
            self._writer = following

    def has_room(self) -> bool:
        """Tests whether the disk takes more bytes."""
        return self._writer.has_room()

    def step(self, place: Place) -> pb.RecordedStep:
        """Returns the decision at a place. ValueError: there is none."""
        payload = read_one(self._path(place.segment), place.offset).payload
        return pb.DecisionRecord.FromString(payload).step

    def decisions(self, episode: OpenEpisode) -> dict[int, pb.RecordedStep]:
        """Returns the decisions of an open episode, by step."""
        return {number: self.step(Place.unpacked(place)) for number, place in episode.places.items()}

    def release(self, needed: set[int]) -> None:
        """Deletes segments that are not in `needed`; the newest stays."""
        stale = [number for number in self._numbers() if number not in needed and number != self._number]
        for number in stale:
            self._path(number).unlink()
        if stale:
            sync_directory(self._folder)

    def erase(self, matches: Callable[[pb.DecisionRecord | pb.OutcomeRecord], bool]) -> None:
        """Overwrites every record that matches, in all segments."""
        found: dict[int, list[int]] = {}
        for place, record in self.entries():
            if matches(record):
                found.setdefault(place.segment, []).append(place.offset)
        for number, offsets in found.items():
            delete(self._path(number), offsets)

    @property
    def begun(self) -> float:
        """A time before all records of the journal, in seconds since the epoch.

        It is one hour earlier than the journal says, in case the clock was wrong.
        """
        first = next(self.entries(), None)
        if first is None:
            return time.time()
        record = first.record
        stamp = record.report_time if isinstance(record, pb.OutcomeRecord) else record.step.decide_time
        return stamp.ToNanoseconds() / 1e9 - 3600

    @property
    def segments(self) -> int:
        """How many segments there are."""
        return len(self._numbers())

    @property
    def disk_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(self._path(number).stat().st_size for number in self._numbers())

    def close(self) -> None:
        """Makes everything durable and closes the newest segment."""
        self._writer.commit(durable=True)
        self._writer.close()

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.log"))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.log"


def key_of(record: pb.DecisionRecord | pb.OutcomeRecord) -> EpisodeKey:
    """Returns the episode that a record belongs to."""
    named = record.outcome if isinstance(record, pb.OutcomeRecord) else record
    return EpisodeKey(record.policy, named.episode_id, named.agent_id)
