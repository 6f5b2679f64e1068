"""Limits the cost of requests for versions and aliases that do not exist.

In object storage, each search takes a few requests to the store. A client that repeats its request
must not make the server repeat the search.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress

from policyd.errors import NotFound, PolicydError

SECONDS = 1.0  # how long after a search without a result the next one is allowed, per policy


class Misses:
    """Remembers when a version or an alias of each policy was last searched and not found."""

    def __init__(self, is_remote: Callable[[], bool], versions: Callable[[str], Collection[int]]) -> None:
        """`is_remote`: whether reading the repository costs requests. A folder is always read.

        `versions`: returns the numbers of a policy's versions.
        """
        self._is_remote = is_remote
        self._versions = versions
        self._there: dict[str, Collection[int]] = {}  # by policy, the versions after its last miss
        self._last: dict[str, NotFound] = {}  # by policy
        self._until: dict[str, float] = {}  # time.monotonic()

    @asynccontextmanager
    async def bounded(self, policy: str, version: int | None) -> AsyncIterator[None]:
        """Surrounds a search for a version of a policy, or for an alias.

        Raises NotFound without a search if the last one was less than SECONDS ago. A version that
        was there then is searched: another client's miss says nothing about it.
        """
        is_new = version not in self._there.get(policy, ())
        if is_new and time.monotonic() < self._until.get(policy, 0.0):
            last = self._last[policy]
            message = f"{policy} has nothing of this name. It was read a moment ago: {last.message}"
            raise NotFound(message, reason=last.reason)
        try:
            yield
        except NotFound as error:
            if self._is_remote():
                self._last[policy] = error
                self._until[policy] = time.monotonic() + SECONDS
                with suppress(PolicydError):
                    self._there[policy] = await asyncio.to_thread(self._versions, policy)
            raise
