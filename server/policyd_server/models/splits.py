"""Aliases that several versions share: which of them answers a request."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from policyd.repository.traffic import position
from policyd_server.models.version import LoadedVersion

# Requests without a key get a random version. The numbers need not be secret.
_draw = random.Random(random.SystemRandom().getrandbits(256)).random  # noqa: S311
#: Requests without a key that come within this many seconds get the same version. So those that are
#: computed together need one inference call, not one for each version.
TOGETHER_SECONDS = 0.0002


class Dealer:
    """Draws random numbers between 0 and 1; requests within a short time get the same number.

    The numbers do not depend on the requests, so each request still goes to a version with the
    probability of its share.
    """

    def __init__(
        self, draw: Callable[[], float] = _draw, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._draw = draw
        self._clock = clock
        self._drawn = 0.0
        self.until = 0.0  # how long the number is used, by the clock

    def number(self) -> float:
        """Returns the present number."""
        now = self._clock()
        if now >= self.until:
            self._drawn, self.until = self._draw(), now + TOGETHER_SECONDS
        return self._drawn


@dataclass(frozen=True)
class Split:
    """The loaded versions that share an alias."""

    base: LoadedVersion  # the version that the alias names; it has the rest
    shares: tuple[tuple[float, LoadedVersion], ...]
    salt: str
    dealer: Dealer = field(default_factory=Dealer, compare=False)

    def pick(self, key: str) -> LoadedVersion:
        """Returns the version for a key, always the same. Without a key, the version is random.

        If there is only one version besides the base, it keeps its keys when its share rises.
        """
        at = position(self.salt, key) if key else self.dealer.number()
        for share, loaded in self.shares:
            if at < share:
                return loaded
            at -= share
        return self.base

    def without(self, failed: set[tuple[str, int, str]]) -> Split | None:
        """Returns the split without these failed versions. None: only the base is left."""
        kept = [(share, self.base if identity(loaded) in failed else loaded) for share, loaded in self.shares]
        if all(loaded is self.base for _, loaded in kept):
            return None
        return Split(self.base, tuple(kept), self.salt)


def identity(loaded: LoadedVersion) -> tuple[str, int, str]:
    """Returns policy, number and digest."""
    return loaded.policy, loaded.version, loaded.digest
