"""Aliases that several versions share: which of them answers a request."""

from __future__ import annotations

import random
from dataclasses import dataclass

from policyd.repository.traffic import position
from policyd_server.models.version import LoadedVersion

# Requests without a key are dealt at random: not secret, only as often as the shares say.
_deal = random.Random(random.SystemRandom().getrandbits(256)).random  # noqa: S311


@dataclass(frozen=True)
class Split:
    """The versions that share an alias, in memory."""

    base: LoadedVersion  # what the alias names; it has what is left
    shares: tuple[tuple[float, LoadedVersion], ...]
    salt: str

    def pick(self, key: str) -> LoadedVersion:
        """The version for a key, always the same; without a key each request is dealt on its own.

        A version's keys stay its own when its share rises, if it is the only one beside the base.
        """
        at = position(self.salt, key) if key else _deal()
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
