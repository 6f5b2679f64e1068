"""Limits the cost of requests for versions and aliases that do not exist.

In object storage, each search takes a few requests to the store. A client that repeats its request
must not make the server repeat the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from policyd.errors import NotFound

SECONDS = 1.0  # how long after a search without a result the next one is allowed, per policy


class Misses:
    """Remembers when a version or an alias of each policy was last searched and not found."""

    def __init__(self, is_remote: Callable[[], bool]) -> None:
        """`is_remote`: whether reading the repository costs requests. A folder is always read."""
        self._is_remote = is_remote
        self._last: dict[str, NotFound] = {}  # by policy
        self._until: dict[str, float] = {}  # time.monotonic()

    @contextmanager
    def bounded(self, policy: str) -> Iterator[None]:
        """Surrounds a search for something of a policy.

        Raises NotFound without a search if the last one was less than SECONDS ago.
        """
        if time.monotonic() < self._until.get(policy, 0.0):
            last = self._last[policy]
            message = f"{policy} has nothing of this name. It was read a moment ago: {last.message}"
            raise NotFound(message, reason=last.reason)
        try:
            yield
        except NotFound as error:
            if self._is_remote():
                self._last[policy] = error
                self._until[policy] = time.monotonic() + SECONDS
            raise
