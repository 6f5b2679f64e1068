"""Follows the repository: load, verify, warm up, swap, release. A bad version leaves the last good one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

from policy_api.errors import PolicydError
from repository import ModelRepository
from server.models.catalog import Catalog
from server.models.version import LoadedVersion, load_version

MAX_RETRY_DELAY = 60.0  # seconds

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadFailure:
    """Why an alias does not answer with what the repository says."""

    version: int
    message: str
    attempts: int
    retry_at: float  # time.monotonic()


class Follower:
    """Keeps the catalogue as the repository's aliases say.

    `on_change` is called after each refresh that changed something or failed.
    """

    def __init__(
        self, repository: ModelRepository, catalog: Catalog, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self.repository = repository
        self.catalog = catalog
        self.failures: dict[tuple[str, str], LoadFailure] = {}  # by (policy, alias)
        self.policies: list[str] = []  # that the repository has
        self._on_change = on_change
        self._stamps: Mapping[str, object] = {}
        # Whatever anyone still holds need not be loaded again.
        self._alive: WeakValueDictionary[tuple[str, int], LoadedVersion] = WeakValueDictionary()
        self._loading: dict[tuple[str, int], asyncio.Future[LoadedVersion]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self, interval: float) -> None:
        """Polls for ever, every `interval` seconds."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.poll()
            except Exception:  # noqa: BLE001 -- whatever the disk does, the next poll comes
                _LOG.exception("following the repository failed; the next poll tries again")

    async def poll(self) -> None:
        """Refreshes policies that changed on disk, and those whose last failure is due for another try."""
        stamps = await asyncio.to_thread(self.repository.stamps)
        changed = {policy for policy, stamp in stamps.items() if self._stamps.get(policy) != stamp}
        due = {
            policy for (policy, _), failure in self.failures.items() if failure.retry_at <= time.monotonic()
        }
        if changed or stamps.keys() != self._stamps.keys():
            await self.read_policies()
        for policy in sorted(changed | due):
            await self._refresh_safely(policy)
        self._stamps = stamps

    async def read_policies(self) -> list[str]:
        """The policies that the repository has now."""
        there = await asyncio.to_thread(self.repository.policies)
        if there != self.policies:
            self.policies = there
            self.catalog.set_policies(there)
        return there

    async def refresh(self, policy: str) -> None:
        """Makes this policy's aliases answer with what the repository says now."""
        async with self._locks.setdefault(policy, asyncio.Lock()):
            state = await asyncio.to_thread(self.repository.aliases, policy)
            before = self.catalog.serving(policy)
            after = {
                alias: await self._target(policy, alias, v, before) for alias, v in state.aliases.items()
            }
            serving = {alias: loaded for alias, loaded in after.items() if loaded is not None}
            if serving != before:
                self.catalog.swap(policy, serving)
                numbers = {alias: loaded.version for alias, loaded in serving.items()}
                _LOG.info("%s at generation %d serves %s", policy, state.generation, numbers)
            self._on_change()

    async def load(self, policy: str, version: int) -> LoadedVersion:
        """A version from memory, else from disk; callers at the same time share one load."""
        key = (policy, version)
        if (loaded := self._alive.get(key)) is not None:
            return loaded
        if key not in self._loading:
            task = asyncio.ensure_future(asyncio.to_thread(load_version, self.repository, policy, version))
            self._loading[key] = task
            task.add_done_callback(lambda _: self._loading.pop(key))
        self._alive[key] = loaded = await asyncio.shield(self._loading[key])
        return loaded

    async def _refresh_safely(self, policy: str) -> None:
        try:
            await self.refresh(policy)
        except PolicydError as error:  # the alias file itself is damaged: everything stays as it is
            _LOG.error("%s: %s; what served before goes on", policy, error.message)

    async def _target(
        self, policy: str, alias: str, version: int, before: Mapping[str, LoadedVersion]
    ) -> LoadedVersion | None:
        """What an alias shall answer with: `version`, or the last good one where that cannot be loaded."""
        last_good = before.get(alias)
        if last_good is not None and last_good.version == version:
            self.failures.pop((policy, alias), None)
            return last_good
        failure = self.failures.get((policy, alias))
        if failure is not None and failure.version == version and failure.retry_at > time.monotonic():
            return last_good
        try:
            loaded = await self.load(policy, version)
        except PolicydError as error:
            self._note_failure(policy, alias, version, error)
            return last_good
        self.failures.pop((policy, alias), None)
        return loaded

    def _note_failure(self, policy: str, alias: str, version: int, error: PolicydError) -> None:
        before = self.failures.get((policy, alias))
        attempts = before.attempts + 1 if before is not None and before.version == version else 1
        retry_at = time.monotonic() + min(2.0 ** (attempts - 1), MAX_RETRY_DELAY)
        self.failures[policy, alias] = LoadFailure(version, error.message, attempts, retry_at)
        last_good = self.catalog.serving(policy).get(alias)
        kept = f"version {last_good.version} goes on" if last_good is not None else "nothing serves it"
        _LOG.error("%s: %s names version %d: %s; %s", policy, alias, version, error.message, kept)
