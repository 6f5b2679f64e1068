"""The policy's aliases, read from the repository at most once per interval."""

from __future__ import annotations

import time

from policyd.repository import AliasState, ModelRepository

ALIAS_SECONDS = 1.0  # seconds after which the aliases are read again


class RecentAliases:
    """One policy's aliases, at most ALIAS_SECONDS old."""

    def __init__(self, repository: ModelRepository, policy: str) -> None:
        self._repository, self._policy = repository, policy
        self._state, self._read_at = AliasState(policy), float("-inf")

    def read(self) -> AliasState:
        """The aliases. Raises Retryable if the repository is unavailable."""
        if time.monotonic() - self._read_at > ALIAS_SECONDS:
            self._state = self._repository.aliases(self._policy)
            self._read_at = time.monotonic()
        return self._state

    def forget(self) -> None:
        """Makes the next `read` read them again."""
        self._read_at = float("-inf")
