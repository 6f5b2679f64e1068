"""What becomes of odd requests besides their answers: their version, and the way of their records.

Imported when the folder of sanitized modules is in its place.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from policyd.experience.book import Book, Place
from policyd_server.acting.dealing import PlainDealt, key_behind
from policyd_server.compiled import dealt, index, ring
from policyd_server.experience import ring as layout
from policyd_server.experience.wire import split
from policyd_server.models.splits import Dealer, Split

VERSIONS: list[Any] = ["base", "one", "two", "three"]
MEANT: dict[Any, Any] = {version: version for version in VERSIONS}


class Dealing:
    """Chooses versions in C, and asserts that Python chooses the same."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.keyed = 0  # requests whose key decided

    def deal(self, payload: bytes, behind: int) -> None:
        """Chooses for one request. `behind` is where its observations end, if it has any."""
        drawn = self._rng.random()
        shares = [(self._rng.random() / 3, each) for each in VERSIONS[1 : self._rng.randint(2, 4)]]
        shared = Split(VERSIONS[0], tuple(shares), "s" * self._rng.randint(0, 300), Dealer(lambda: drawn))
        chosen = dealt.Dealt(behind, shared, MEANT).pick(payload)
        if behind >= 0:
            assert chosen == PlainDealt(behind, shared, MEANT).pick(payload)
            self.keyed += bool(key_behind(payload, behind))


class Recording:
    """Puts records into a ring and a book: valid ones, and damaged ones."""

    def __init__(self, rng: random.Random, changed: Callable[[random.Random, bytes], bytes]) -> None:
        self._rng, self._changed = rng, changed
        self._memory = bytearray(layout.DATA + rng.choice((0, 1, 500, 5000)))
        self._ring = ring.Ring(self._memory)
        self.entered = 0  # decisions of valid records

    def take(self, records: bytes, count: int) -> None:
        """Takes the records of one call."""
        framed, counts = self._index(records)
        assert counts["p"] == count == len(list(split(records)))
        assert len(framed) == len(records) + 5 * count
        self.entered += count
        with suppress(ValueError):
            self._index(self._changed(self._rng, records))
        self._put(records)

    def _index(self, records: bytes) -> tuple[bytes, dict[str, int]]:
        return index.take(records, Book(), Place(1, self._rng.randrange(2**30)), lambda _: True, 0.0)

    def _put(self, records: bytes) -> None:
        """Puts a record at the head, or at the front of the memory.

        Sometimes the recorder reads in between.
        """
        head, tail = self._number(layout.HEAD), self._number(layout.TAIL)
        place = layout.place_for(len(records), head, tail, len(self._memory) - layout.DATA)
        assert self._ring.put(records) == (place >= 0)
        if place >= 0:
            end = self._number(layout.HEAD)
            assert self._memory[layout.DATA + place : layout.DATA + end] == records
        if self._rng.random() < 0.3:
            self._memory[layout.TAIL : layout.TAIL + 8] = self._memory[layout.HEAD : layout.HEAD + 8]
            assert self._ring.is_empty

    def _number(self, at: int) -> int:
        return int.from_bytes(self._memory[at : at + 8], "little")
