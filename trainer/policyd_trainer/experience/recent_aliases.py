"""The policy's aliases, read from the repository at most once per interval."""

from __future__ import annotations

import time

from policyd.repository import AliasState, ModelRepository

ALIAS_SECONDS = 1.0  # for which the aliases are used before they are read again


class RecentAliases:
    """One policy's aliases, at most ALIAS_SECONDS old."""

    def __init__(self, repository: ModelRepository, policy: str) -> None:
        self._repository, self._policy = repository, policy
        self._state, self._read_at = AliasState(policy), float("-inf")

    def read(self) -> AliasState:
        """Retryable: the repository is away."""
        if time.monotonic() - self._read_at > ALIAS_SECONDS:
            self._state = self._repository.aliases(self._policy)
            self._read_at = time.monotonic()
        return self._state

    def forget(self) -> None:
        """The next look reads them again."""
        self._read_at = float("-inf")
