"""What the recorder knows of a canary's episodes and of its champion's.

Sealed episodes are read as they come, and counted in the order in which they began, up to the
oldest that is still open: otherwise short episodes would count before long ones.
"""

from __future__ import annotations

import heapq
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from policy_api.v1 import experience_pb2 as pb
from policyd.evidence.canary import Arm
from policyd.evidence.moments import Moments
from policyd.experience.recorder import Recorder
from policyd.experience.sealed import Position, first_since, read_sealed

#: At most this many episodes are read for one question, because clients' reports wait meanwhile.
MOST_READ = 1000


class Question(NamedTuple):
    """Which episodes are compared."""

    policy: str
    since: float  # seconds since the epoch; earlier episodes are ignored
    champion: int
    canary: int


class Began(NamedTuple):
    """A sealed episode of one version that is not compared yet."""

    time: float
    number: int  # rising, so that episodes that began at the same time can be sorted
    version: int
    total: float | None  # its return; None: an outcome is missing


@dataclass
class Watch:
    """What was found for one question so far."""

    question: Question
    position: Position
    waiting: list[Began] = field(default_factory=list)  # a heap, the earliest first
    arms: dict[int, Arm] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    mixed: int = 0  # episodes in which several versions acted; these are not compared
    unanswered: int = 0  # the champion's complete episodes since the canary's last one
    behind: bool = False  # whether there are sealed episodes that were not read yet

    def read(self, recorder: Recorder) -> None:
        """Reads the episodes that were sealed since the last call."""
        folder = recorder.log(self.question.policy).folder
        self.behind = False
        for count, sealed in enumerate(read_sealed(folder, self.position)):
            if count == MOST_READ:
                self.behind = True
                return
            self.position = sealed.after
            self._take(sealed.episode)
        opened = [e.began for e in recorder.book.episodes.values() if e.key.policy == self.question.policy]
        self._compare(min(opened, default=time.time()))

    def _take(self, episode: pb.Episode) -> None:
        steps = episode.steps
        began = steps[0].decide_time.ToNanoseconds() / 1e9 if steps else 0.0
        if began < self.question.since or steps[0].step != 0:
            return
        versions = {step.version for step in steps}
        if len(versions) > 1:
            self.mixed += 1
            return
        version = versions.pop()
        if version not in (self.question.champion, self.question.canary):
            return
        whole = episode.end != pb.ABANDONED and all(step.reported for step in steps)
        total = sum(step.reward for step in steps) if whole else None
        heapq.heappush(self.waiting, Began(began, next(self.numbers), version, total))
        if whole:
            self.unanswered = 0 if version == self.question.canary else self.unanswered + 1

    def _compare(self, until: float) -> None:
        while self.waiting and self.waiting[0].time < until:
            _, _, version, total = heapq.heappop(self.waiting)
            arm = self.arms.get(version, Arm())
            returns = arm.returns if total is None else arm.returns.merged(Moments.of([total]))
            reported = arm.reported.merged(Moments.of([float(total is not None)]))
            self.arms[version] = replace(arm, returns=returns, reported=reported)


class EvidenceDesk:
    """Answers questions about canaries. Of each policy it remembers only the last question."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._watches: dict[str, Watch] = {}  # by policy, the last question

    def answer(self, _caller: str, request: bytes) -> bytes:
        """Returns the evidence for a question. Both are JSON."""
        question = Question(*json.loads(request))
        watch = self._watches.get(question.policy)
        if watch is None or watch.question != question:
            folder = self._recorder.log(question.policy).folder
            watch = self._watches[question.policy] = Watch(question, first_since(folder, question.since))
        watch.read(self._recorder)
        return Evidence(
            watch.arms.get(question.champion, Arm()),
            watch.arms.get(question.canary, Arm()),
            watch.mixed,
            watch.unanswered,
            watch.behind,
        ).to_bytes()


@dataclass(frozen=True)
class Evidence:
    """The answer to a question."""

    champion: Arm
    canary: Arm
    mixed: int
    unanswered: int
    behind: bool

    def to_bytes(self) -> bytes:
        """Returns the evidence as JSON."""
        arms = [[list(vars(m).values()) for m in (arm.returns, arm.reported)] for arm in self._arms]
        return json.dumps([*arms, self.mixed, self.unanswered, self.behind]).encode()

    @classmethod
    def of(cls, data: bytes) -> Evidence:
        """Reads the evidence from JSON."""
        champion, canary, *rest = json.loads(data)
        return cls(_arm(champion), _arm(canary), *rest)

    @property
    def _arms(self) -> tuple[Arm, Arm]:
        return self.champion, self.canary


def _arm(told: Any) -> Arm:
    return Arm(*(Moments(*moments) for moments in told))
