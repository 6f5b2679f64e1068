"""Follows the repository: load, verify, warm up, swap, release.

A bad version leaves the last good one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from weakref import WeakValueDictionary

from policy_api.v1.traffic_pb2 import Traffic
from policyd.errors import CorruptArtifact, NotFound, PolicydError
from policyd.repository import ModelRepository
from policyd.runtime.memory import give_back
from policyd_server.models.folder_watch import FolderWatch
from policyd_server.models.loaded_versions import LoadedVersions
from policyd_server.models.splits import Split
from policyd_server.models.troubles import Troubles
from policyd_server.models.version import LoadedVersion, load_version

# Watched folders are polled too, but so seldom that it costs nothing.
WATCHED_SECONDS = 60.0
WATCH_PAUSE = 0.01  # one promotion changes several entries

_LOG = logging.getLogger(__name__)
_Key = tuple[str, int, str]  # policy, version, digest


class Follower:
    """Keeps the loaded versions in agreement with the repository's aliases.

    If a policy is damaged, it goes on with the versions that it served, and all others follow.
    `on_change` is called after each refresh that changed something or failed.
    """

    def __init__(
        self,
        repository: ModelRepository,
        loaded_versions: LoadedVersions,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.repository = repository
        self.loaded_versions = loaded_versions
        self.troubles = Troubles()
        self.traffic: dict[str, Traffic] = {}  # by policy, as last read
        self.policies: list[str] = []  # the policies of the repository
        self._on_change = on_change
        self._stamps: Mapping[str, Hashable] = {}
        # Versions that somebody still uses. They need not be loaded again.
        self._alive: WeakValueDictionary[_Key, LoadedVersion] = WeakValueDictionary()
        self._loading: dict[_Key, asyncio.Future[LoadedVersion]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self, interval: float) -> None:
        """Follows for ever: at once if folders can be watched, else every `interval` seconds."""
        with FolderWatch() as watch:
            while True:
                watched = await self._poll_safely(watch)
                await asyncio.sleep(WATCH_PAUSE)
                await watch.changed(self._pause(interval) if watched else interval)

    async def _poll_safely(self, watch: FolderWatch) -> bool:
        """Polls once. Returns whether the watch notices each change that comes after that."""
        watched = False
        try:
            watched = watch.watches(await asyncio.to_thread(self.repository.folders))
            await self.poll()
        except Exception as error:  # noqa: BLE001 -- whatever the disk does, the next poll comes
            self.troubles.note_exception(error)
        return watched and not self.troubles.problem

    def _pause(self, interval: float) -> float:
        """Returns the seconds until something is due, while changes are watched."""
        due = [failure.retry_at - time.monotonic() for failure in self.troubles.failures.values()]
        return max(0.0, min([max(interval, WATCHED_SECONDS), *due]))

    async def poll(self) -> None:
        """Refreshes policies that changed, and those whose last failure is due again."""
        stamps = await self._read_stamps()
        if stamps is None:
            return
        changed = {policy for policy, stamp in stamps.items() if self._stamps.get(policy) != stamp}
        gone = self._stamps.keys() - stamps.keys()
        due = self.troubles.due()
        if changed or gone:
            await self.read_policies()
        for policy in sorted(gone):
            self._release(policy)
        for policy in sorted((changed | due) - gone):
            await self._refresh_safely(policy)
        self._stamps = stamps

    def stamp(self, policy: str) -> Hashable:
        """Returns a value that differs after each noticed change of the policy."""
        return self._stamps.get(policy)

    async def read_policies(self) -> list[str]:
        """The policies that the repository has now."""
        there = await asyncio.to_thread(self.repository.policies)
        if there != self.policies:
            self.policies = there
            self.loaded_versions.set_policies(there)
        return there

    async def refresh(self, policy: str) -> None:
        """Makes this policy's aliases serve the versions that the repository names.

        Raises CorruptArtifact if its alias state is damaged; the versions from before stay.
        """
        async with self._locks.setdefault(policy, asyncio.Lock()):
            seen = await asyncio.to_thread(self.repository.inspect, policy)
            self.troubles.note(policy, seen)
            if seen.aliases is None:
                self._on_change()
                raise CorruptArtifact(f"{'; '.join(seen.damage)}; the versions in memory go on serving")
            before = self.loaded_versions.serving(policy)
            after = {
                alias: await self._target(policy, alias, v, before)
                for alias, v in seen.aliases.aliases.items()
            }
            serving = {alias: loaded for alias, loaded in after.items() if loaded is not None}
            self.troubles.forget_aliases(policy, kept=after.keys())
            splits = await self._splits(policy, serving)
            if serving != before or splits != self.loaded_versions.splits(policy):
                self.loaded_versions.swap(policy, serving, splits)
                numbers = {alias: loaded.version for alias, loaded in serving.items()}
                _LOG.info("%s at generation %d serves %s", policy, seen.aliases.generation, numbers)
            self.loaded_versions.forgive(policy, self._shared_versions(policy))
            await self._drop_replaced(policy)
            await asyncio.to_thread(give_back)
            self._on_change()

    async def load(self, policy: str, version: int) -> LoadedVersion:
        """Returns a version from memory, or loads it from the repository.

        Concurrent callers share one load.
        """
        published = await asyncio.to_thread(self.repository.read, policy, version)
        key = (policy, version, published.digest)
        if (loaded := self._alive.get(key)) is not None:
            return loaded
        if key not in self._loading:
            task = asyncio.ensure_future(asyncio.to_thread(load_version, self.repository, policy, version))
            self._loading[key] = task
            task.add_done_callback(lambda _: self._loading.pop(key))
        loaded = await asyncio.shield(self._loading[key])
        self._alive[policy, version, loaded.digest] = loaded
        return loaded

    async def _read_stamps(self) -> Mapping[str, Hashable] | None:
        """Returns the stamps. None: the repository cannot be read, so nothing must change."""
        try:
            stamps = await asyncio.to_thread(self.repository.stamps)
            problem = None if stamps else await asyncio.to_thread(self.repository.absence)
        except PolicydError as error:
            self.troubles.note_problem(error.message, self.repository.location)
            return None
        self.troubles.note_problem(problem or "", self.repository.location)
        # If the disk was unmounted, serving goes on. If a policy was deleted, it ends.
        return None if problem and self._stamps else stamps

    async def _refresh_safely(self, policy: str) -> None:
        try:
            await self.refresh(policy)
        except CorruptArtifact:
            pass  # it was noted
        except PolicydError as error:
            _LOG.error("%s: %s; the versions in memory go on serving", policy, error.message)

    def _release(self, policy: str) -> None:
        """Releases a policy that was deleted.

        Requests in flight keep its versions until they are answered.
        """
        self.loaded_versions.swap(policy, {})
        self.loaded_versions.forget(policy)
        self.traffic.pop(policy, None)
        self.troubles.forget(policy)
        _LOG.info("%s is gone from the repository and is no longer served", policy)
        self._on_change()

    async def _drop_replaced(self, policy: str) -> None:
        """Drops versions requested by number that were deleted or replaced.

        Replaced: the repository has other content under the same number.
        """
        for loaded in self.loaded_versions.by_number(policy):
            try:
                published = await asyncio.to_thread(self.repository.read, policy, loaded.version)
            except NotFound:
                self.loaded_versions.drop(loaded)
            except PolicydError:  # damaged, or the store is away: the verified version stays
                continue
            else:
                if published.digest != loaded.digest:
                    self.loaded_versions.drop(loaded)

    async def _splits(self, policy: str, serving: Mapping[str, LoadedVersion]) -> dict[str, Split]:
        """Returns the loaded versions that share each alias.

        One that does not load has no share.
        """
        try:
            state = await asyncio.to_thread(self.repository.traffic, policy)
        except PolicydError as error:
            if not isinstance(error, CorruptArtifact):  # damage was noted already
                _LOG.error("%s; the earlier shares stay in force", error.message)
            return dict(self.loaded_versions.splits(policy))
        splits = {}
        for each in state.aliases:
            loaded = [(one.share, await self._shared(policy, each.alias, one.version)) for one in each.shares]
            base = serving.get(each.alias)
            if base is not None:
                shares = tuple((share, version or base) for share, version in loaded)
                splits[each.alias] = Split(base, shares, each.salt)
        self.traffic[policy] = state
        return splits

    def _shared_versions(self, policy: str) -> set[int]:
        """The versions that have shares, as last read."""
        state = self.traffic.get(policy, Traffic())
        return {share.version for each in state.aliases for share in each.shares}

    async def _shared(self, policy: str, alias: str, version: int) -> LoadedVersion | None:
        """Returns a version that has a share. None: it does not load."""
        try:
            return await self.load(policy, version)
        except PolicydError as error:
            _LOG.error("%s: version %d shares %s: %s", policy, version, alias, error.message)
            return None

    async def _target(
        self, policy: str, alias: str, version: int, before: Mapping[str, LoadedVersion]
    ) -> LoadedVersion | None:
        """Returns the version that an alias has to serve.

        It is `version`, or if that does not load, the last one that did.
        """
        last_good = before.get(alias)
        if self.troubles.waits(policy, alias, version):
            return last_good
        try:
            loaded = await self.load(policy, version)
        except PolicydError as error:
            self.troubles.note_failure(
                policy, alias, version, error, last_good.version if last_good else None
            )
            return last_good
        self.troubles.failures.pop((policy, alias), None)
        return loaded
