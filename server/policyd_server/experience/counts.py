"""Counters of what was recorded, by version and by caller, for GetExperience and the metrics.

They are counted from the sealed episodes, so that they survive a restart, and from what is open.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.book import Verdict
from policyd.experience.learned import read_learned
from policyd.experience.recorder import Recorder
from policyd.experience.report import Report
from policyd.experience.sealed import Position, read_sealed

#: Sealed episodes are read for at most this long at a time: clients' reports wait meanwhile.
READ_SECONDS = 0.1


class Behind(Exception):
    """There are sealed episodes that are not counted yet."""


@dataclass
class Count:
    """What was recorded for one version or for one caller."""

    decisions: int = 0
    outcomes: int = 0
    episodes: int = 0
    returns: float = 0.0  # sum of the sealed episodes' undiscounted returns

    def message(self, key: str) -> pb.ExperienceCount:
        """Returns the count as a message."""
        mean = self.returns / self.episodes if self.episodes else 0.0
        return pb.ExperienceCount(
            key=key,
            decisions=self.decisions,
            outcomes=self.outcomes,
            sealed_episodes=self.episodes,
            mean_return=mean,
        )


@dataclass
class PolicyCounts:
    """The counts of one policy, and how far its log of sealed episodes has been read."""

    by_version: dict[int, Count] = field(default_factory=dict)
    by_caller: dict[str, Count] = field(default_factory=dict)
    position: Position = field(default_factory=Position)
    late: int = 0


class Counts:
    """Counts of every policy."""

    def __init__(self) -> None:
        self._policies: dict[str, PolicyCounts] = {}

    def reported(self, policy: str, report: Report) -> None:
        """Counts the outcomes that came too late."""
        self._of(policy).late += report.counts[Verdict.TOO_LATE]

    def fill(self, answer: pb.GetExperienceResponse, policy: str, recorder: Recorder) -> None:
        """Writes the policy's counts into the response.

        Raises Behind after READ_SECONDS if not all is counted; the next call goes on from there.
        """
        counts = self._of(policy)
        self._read_sealed(counts, policy, recorder)
        open_episodes = [e for e in recorder.book.episodes.values() if e.key.policy == policy]
        answer.open_episodes = len(open_episodes)
        answer.open_steps = sum(len(episode.places) for episode in open_episodes)
        answer.by_version.extend(count.message(str(key)) for key, count in sorted(counts.by_version.items()))
        answer.by_caller.extend(count.message(key) for key, count in sorted(counts.by_caller.items()))
        learned = read_learned(recorder.root, policy)
        answer.used_episodes, answer.used_steps = learned.episodes, learned.steps
        answer.dropped.extend(learned.dropped)
        if lost := recorder.lost.get(policy):
            answer.dropped.add(reason="DISK_FULL", steps=lost)
        if overflowed := recorder.overflowed.get(policy):
            answer.dropped.add(reason="TOO_MANY_OPEN", steps=overflowed)
        if left_out := recorder.left_out.get(policy):
            answer.dropped.add(reason="TOO_LONG", steps=left_out)
        answer.late_outcomes = counts.late
        answer.disk_bytes = recorder.journal_bytes + recorder.log(policy).disk_bytes

    def _of(self, policy: str) -> PolicyCounts:
        return self._policies.setdefault(policy, PolicyCounts())

    def _read_sealed(self, counts: PolicyCounts, policy: str, recorder: Recorder) -> None:
        """Counts what was sealed since the last call. An episode counts for its last version."""
        until = time.monotonic() + READ_SECONDS
        for sealed in read_sealed(recorder.log(policy).folder, counts.position):
            counts.position = sealed.after
            episode = sealed.episode
            for step in episode.steps:
                version = counts.by_version.setdefault(step.version, Count())
                version.decisions += 1
                version.outcomes += step.reported
            total = sum(step.reward for step in episode.steps)
            caller = counts.by_caller.setdefault(episode.caller, Count())
            caller.decisions += len(episode.steps)
            caller.outcomes += sum(step.reported for step in episode.steps)
            for count in (counts.by_version[episode.steps[-1].version], caller):
                count.episodes += 1
                count.returns += total
            if time.monotonic() > until:
                raise Behind
