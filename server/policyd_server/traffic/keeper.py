"""Promotes and ends canaries by evidence, and takes shares from versions that fail.

Every worker of every server does this, twice per second. Each action is a compare-and-set in the
repository. So if two workers do the same, it is done once, and after a crash another worker
continues.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable

import numpy as np

from policy_api.v1 import traffic_pb2 as pb
from policyd.counted import counted
from policyd.errors import Conflict, PolicydError
from policyd.evidence.canary import Judgement, judge
from policyd.evidence.off_policy import Verdict
from policyd.repository import traffic
from policyd.runtime import audit
from policyd_server.experience.evidence import Evidence, Question
from policyd_server.experience.link import RecorderLink
from policyd_server.experience.wire import Method
from policyd_server.models.follower import Follower
from policyd_server.traffic import canaries, reporting

LOOK_SECONDS = 0.5
#: If only numbers have changed, they are written into the repository once in this many seconds.
NOTE_SECONDS = 5.0
#: The canary's outcomes count as stopped if it should have had this many episodes by its share, but
#: had none. By chance that happens once in 10^8 times.
MISSED = 20
SLOW_LOOKS = 3  # in a row, until the canary ends
PROBES = 5

_LOG = logging.getLogger(__name__)
End = pb.Canary


class CanaryKeeper:
    """Controls the canaries of all policies."""

    def __init__(
        self, follower: Follower, recorder: RecorderLink, refresh_all: Callable[[str], Awaitable[None]]
    ) -> None:
        self._follower = follower
        self._repository = follower.repository
        self._recorder = recorder
        self._refresh_all = refresh_all
        self._ended = reporting.EndedCanaries(follower.repository)
        self._slow: dict[str, int] = {}  # slow looks in a row, by policy
        self._needed = asyncio.Event()  # set while there is something to control

    def changed(self) -> None:
        """Reads the traffic that the follower has read. Nothing is done while there is no share."""
        if any(self._concerns(state) for state in self._follower.traffic.values()):
            self._needed.set()
        else:
            self._needed.clear()

    async def run(self) -> None:
        """Controls the canaries for ever."""
        while True:
            await self._needed.wait()
            await asyncio.sleep(LOOK_SECONDS)
            for policy, state in list(self._follower.traffic.items()):
                try:
                    await self._look(policy, state)
                except Conflict:
                    continue  # another worker was faster
                except PolicydError as error:
                    _LOG.warning("the canary of %s: %s; the next look tries again", policy, error.message)
                except Exception:  # noqa: BLE001 -- an error of one policy must not end the others' canaries
                    _LOG.exception("looking after the canary of %s failed", policy)

    def _concerns(self, state: pb.Traffic) -> bool:
        """Whether an alias is shared, a canary runs, or a report may lack a canary's end."""
        return bool(state.aliases) or canaries.is_running(state) or self._ended.owes(state)

    async def _look(self, policy: str, state: pb.Traffic) -> None:
        if self._ended.owes(state):
            await self._ended.settle(state)
            self.changed()
        failed = self._follower.loaded_versions.failed(policy)
        if any(share.version in failed for each in state.aliases for share in each.shares):
            await self._give_back(policy, failed)
        elif canaries.is_running(state):
            await self._take_on(policy, state)

    async def _give_back(self, policy: str, failed: set[int]) -> None:
        """Removes the failed versions' shares in the repository, so at every server."""

        def change(state: pb.Traffic) -> pb.Traffic:
            if canaries.is_running(state) and state.canary.version in failed:
                reason = f"version {state.canary.version} failed while it served"
                return traffic.canary_ended(state, End.ROLLED_BACK, reason)
            for each in state.aliases:
                kept = [share for share in each.shares if share.version not in failed]
                if len(kept) < len(each.shares):
                    reason = f"failed while serving: {sorted(failed)}"
                    return traffic.with_shares(state, each.alias, kept, actor="policyd-server", reason=reason)
            return state

        if await self._changed(policy, change):
            versions = ",".join(map(str, sorted(failed)))
            audit.decided(
                "policyd-server", policy=policy, failed_versions=versions, reason="failed while serving"
            )

    async def _take_on(self, policy: str, state: pb.Traffic) -> None:
        canary = state.canary
        aliases = await asyncio.to_thread(self._repository.aliases, policy)
        names = aliases.aliases.get(canary.alias)
        if names == canary.version:
            await self._end(policy, state, End.PROMOTED, canary.reason)
            return
        if names != canary.base_version:
            await self._end(policy, state, End.CANCELLED, f"{canary.alias} was moved to version {names}")
            return
        if await self._is_slow(policy, canary):
            await self._end(policy, state, End.ROLLED_BACK, "its inference calls take longer than allowed")
            return
        evidence = await self._evidence(policy, canary)
        if evidence.behind:
            return
        judgement = judge(evidence.champion, evidence.canary)
        age = time.time() - canary.start_time.ToNanoseconds() / 1e9
        if judgement.verdict is Verdict.WORSE:
            await self._end(policy, state, End.ROLLED_BACK, judgement.reason, evidence, judgement)
        elif _stopped(canary, evidence, age):
            episodes = counted(evidence.unanswered, "episodes")
            reason = f"no outcome of the canary arrived during {episodes} of the champion"
            await self._end(policy, state, End.ROLLED_BACK, reason, evidence, judgement)
        elif judgement.verdict is Verdict.BETTER:
            await self._promote(policy, state, evidence, judgement)
        elif age > canaries.seconds_of(canary.config.patience):
            reason = f"no verdict in time: {judgement.reason}"
            await self._end(policy, state, End.CANNOT_TELL, reason, evidence, judgement)
        else:
            await self._note(policy, state, evidence, judgement)

    async def _evidence(self, policy: str, canary: pb.Canary) -> Evidence:
        since = canary.start_time.ToNanoseconds() / 1e9
        question = Question(policy, since, canary.base_version, canary.version)
        answer = await self._recorder.call(Method.EVIDENCE, "", json.dumps(question).encode())
        return Evidence.of(answer)

    async def _promote(
        self, policy: str, state: pb.Traffic, evidence: Evidence, judgement: Judgement
    ) -> None:
        """Promotes the canary's version.

        The alias changes first. After a crash, another worker sees that and ends the canary.
        """
        canary = state.canary
        reason = f"canary: {judgement.reason}"
        aliases = await asyncio.to_thread(self._repository.aliases, policy)
        if aliases.aliases.get(canary.alias) == canary.base_version:
            await asyncio.to_thread(
                self._repository.set_alias,
                policy,
                canary.alias,
                canary.version,
                actor="canary",
                reason=reason,
                expected_generation=aliases.generation,
            )
        await self._end(policy, state, End.PROMOTED, judgement.reason, evidence, judgement)

    async def _end(
        self,
        policy: str,
        state: pb.Traffic,
        end: pb.Canary.State.ValueType,
        reason: str,
        evidence: Evidence | None = None,
        judgement: Judgement | None = None,
    ) -> None:
        def change(before: pb.Traffic) -> pb.Traffic:
            if before.canary.start_time != state.canary.start_time:
                return before  # it is another canary by now
            if evidence is not None and judgement is not None and canaries.is_running(before):
                before = canaries.observed(before, evidence.champion, evidence.canary, judgement, raised=0)
            return traffic.canary_ended(before, end, reason)

        if await self._changed(policy, change):
            name, canary = pb.Canary.State.Name(end), state.canary
            _LOG.info("%s: the canary of version %d ends: %s: %s", policy, canary.version, name, reason)
            told = {"policy": policy, "alias": canary.alias, "version": canary.version}
            audit.decided("canary", **told, canary_state=name, reason=reason)

    async def _note(self, policy: str, state: pb.Traffic, evidence: Evidence, judgement: Judgement) -> None:
        """Raises the share if it is time, and records the evidence."""
        canary = state.canary
        raised = canaries.steps_of(canary.config).share(evidence.canary.returns.n)
        noted = canary.points[-1].time.ToNanoseconds() / 1e9 if canary.points else 0.0
        known = (canary.champion.episodes, canary.challenger.episodes)
        news = known != (evidence.champion.reported.n, evidence.canary.reported.n)
        if raised <= canary.share and not (news and time.time() - noted > NOTE_SECONDS):
            return

        def change(before: pb.Traffic) -> pb.Traffic:
            if before.generation != state.generation:
                return before  # another worker was faster
            return canaries.observed(before, evidence.champion, evidence.canary, judgement, raised=raised)

        await self._changed(policy, change)

    async def _is_slow(self, policy: str, canary: pb.Canary) -> bool:
        """Whether its inference calls were too long at several looks in a row."""
        if not canary.config.HasField("max_latency"):
            return False
        loaded = await self._follower.load(policy, canary.version)
        observations = np.zeros((1, *loaded.observation_shape), np.float32)

        def probe() -> float:
            found = []
            for _ in range(PROBES):
                begin = time.perf_counter()
                loaded.infer(observations)
                found.append(time.perf_counter() - begin)
            return sorted(found)[PROBES // 2]

        too_slow = await asyncio.to_thread(probe) > canaries.seconds_of(canary.config.max_latency)
        self._slow[policy] = self._slow.get(policy, 0) + 1 if too_slow else 0
        return self._slow[policy] >= SLOW_LOOKS

    async def _changed(self, policy: str, change: Callable[[pb.Traffic], pb.Traffic]) -> bool:
        """Changes the traffic and returns whether it has changed.

        When this returns, every worker of this server follows it.
        """
        changed = ended = False

        def replace(before: pb.Traffic) -> pb.Traffic:
            nonlocal changed, ended
            after = change(before)
            changed, ended = after is not before, reporting.ends(before, after)
            return after

        state = await asyncio.to_thread(self._repository.change_traffic, policy, replace)
        await self._refresh_all(policy)
        if ended:
            await reporting.note_end(self._repository, state)
        return changed


def _stopped(canary: pb.Canary, evidence: Evidence, age: float) -> bool:
    """Whether the canary's outcomes stopped while the champion's went on."""
    due = evidence.unanswered * canary.share / max(1e-9, 1 - canary.share)
    return due > MISSED and age > canaries.seconds_of(canary.config.outcome_timeout)
