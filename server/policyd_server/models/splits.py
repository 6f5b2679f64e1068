"""Aliases that several versions share: which of them answers a request."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from policyd.repository.traffic import position
from policyd_server.models.version import LoadedVersion

# Requests without a key are dealt at random: not secret, only as often as the shares say.
_draw = random.Random(random.SystemRandom().getrandbits(256)).random  # noqa: S311
#: Requests without a key that come within so many seconds are dealt together. So those that are
#: computed together need one inference call, not one for each version.
TOGETHER_SECONDS = 0.0002


class Dealer:
    """Draws numbers between 0 and 1, each for all who ask within a short time.

    Each number is drawn without regard to the requests, so each request still goes to a version
    with the probability of its share.
    """

    def __init__(
        self, draw: Callable[[], float] = _draw, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._draw = draw
        self._clock = clock
        self._drawn = 0.0
        self.until = 0.0  # how long the number counts, by the clock

    def number(self) -> float:
        """The number for whoever asks now."""
        now = self._clock()
        if now >= self.until:
            self._drawn, self.until = self._draw(), now + TOGETHER_SECONDS
        return self._drawn


@dataclass(frozen=True)
class Split:
    """The versions that share an alias, in memory."""

    base: LoadedVersion  # what the alias names; it has what is left
    shares: tuple[tuple[float, LoadedVersion], ...]
    salt: str
    dealer: Dealer = field(default_factory=Dealer, compare=False)

    def pick(self, key: str) -> LoadedVersion:
        """The version for a key, always the same; without a key by chance.

        A version's keys stay its own when its share rises, if it is the only one beside the base.
        """
        at = position(self.salt, key) if key else self.dealer.number()
        for share, loaded in self.shares:
            if at < share:
                return loaded
            at -= share
        return self.base

    def without(self, failed: set[tuple[str, int, str]]) -> Split | None:
        """What is left without these versions, which have failed. None: the base alone."""
        kept = [(share, self.base if identity(loaded) in failed else loaded) for share, loaded in self.shares]
        if all(loaded is self.base for _, loaded in kept):
            return None
        return Split(self.base, tuple(kept), self.salt)


def identity(loaded: LoadedVersion) -> tuple[str, int, str]:
    """Policy, number and digest."""
    return loaded.policy, loaded.version, loaded.digest
