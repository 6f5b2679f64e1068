"""Episodes that a job keeps apart: never learned from, so that they can judge what was learned."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.sealed import Position, first_since, read_at, read_sealed

MOST_EPISODES = 2000  # of the newest episodes
#: When a job starts, it reads log segments that are at most so many seconds old.
OLDEST_SECONDS = 86400.0
_PARTS = 1000


def is_held_out(episode_id: str, share: float) -> bool:
    """Whether an episode is kept apart. Depends on its id only, so that every job agrees."""
    return zlib.crc32(episode_id.encode()) % _PARTS < share * _PARTS


class HeldOut:
    """The newest episodes of one policy's log that are kept apart.

    It remembers only where they are. So it takes little memory, and what is deleted is not used.
    """

    def __init__(self, log: Path, share: float, now: float) -> None:
        """`log`: the folder of the policy's sealed episodes. `now`: seconds since the epoch."""
        self._log, self._share = log, share
        self._position = first_since(log, now - OLDEST_SECONDS)
        self._places: deque[Position] = deque(maxlen=MOST_EPISODES)

    def read(self) -> Iterator[pb.Episode]:
        """The episodes in the log as it is now, newest first."""
        for sealed in read_sealed(self._log, self._position):
            self._position = sealed.after
            if sealed.observed and is_held_out(sealed.episode.episode_id, self._share):
                self._places.append(sealed.at)
        for place in reversed(self._places):
            if (episode := read_at(self._log, place)) is not None:
                yield episode

    def first_segment(self, position: Position) -> int:
        """The oldest segment that is needed by a job that is at `position` of the log."""
        return min(place.segment for place in (*self._places, position))
