"""The open episodes: joins decisions with their outcomes, in whatever order they come. No files.

An episode of one agent is keyed by (policy, episode_id, agent_id). It is sealed when its last step
and every step before that have an outcome, or when it has been silent for too long. Named parts of
a reward may come at any time, so an episode with named parts waits for silence.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from policy_api.v1 import experience_pb2 as pb

ENDS = (pb.TERMINATED, pb.TRUNCATED, pb.ABANDONED)
#: This many sealed keys are remembered, so that a late outcome is not taken for one of an unknown
#: decision.
REMEMBERED = 100_000
#: How many bits of a packed Place hold the offset in its segment.
OFFSET_BITS = 40


class EpisodeKey(NamedTuple):
    """One agent's episode."""

    policy: str
    episode_id: str
    agent_id: str


class Place(NamedTuple):
    """Where the journal holds a decision."""

    segment: int
    offset: int

    @property
    def packed(self) -> int:
        """Returns both numbers as one. That saves memory, because each open step has a place."""
        return self.segment << OFFSET_BITS | self.offset

    @classmethod
    def unpacked(cls, number: int) -> Place:
        """Returns the place that was packed."""
        return cls(number >> OFFSET_BITS, number & (1 << OFFSET_BITS) - 1)


class Verdict(Enum):
    """What happened to one reported outcome."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    TOO_LATE = "too late"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


class Part(NamedTuple):
    """One part of a step's outcome."""

    reward: float
    end: int
    final_observation: bytes


@dataclass(slots=True)
class OpenEpisode:
    """The steps of one agent's episode so far."""

    key: EpisodeKey
    subject: str
    caller: str
    changed: float  # seconds; when the last decision or outcome came
    places: dict[int, int] = field(default_factory=dict)  # by step: the packed place of its decision
    parts: dict[int, dict[str, Part]] = field(default_factory=dict)  # by step and part name: its outcomes
    last: int = -1  # the last step, if known; else -1
    began: float = field(init=False)  # when the first decision came
    # the journal's segments that hold a decision or an outcome of it
    segments: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.began = self.changed

    @property
    def complete(self) -> bool:
        """Whether the last step is known, and each step up to it has its outcome.

        An episode with named parts of a reward is never complete, because more parts may follow.
        """
        if self.last < 0 or len(self.parts) <= self.last:
            return False
        steps = (self.parts.get(number, ()) for number in range(self.last + 1))
        return all(len(parts) == 1 and "" in parts for parts in steps)

    def end_of(self, step: int) -> int:
        """Returns what the outcomes say about the end of the episode after a step."""
        parts = self.parts.get(step, {}).values()
        return next((part.end for part in parts if part.end in ENDS), pb.GOES_ON)

    def take(self, outcome: pb.Outcome) -> None:
        """Adds a new outcome of a recorded step."""
        part = _part(outcome)
        self.parts.setdefault(outcome.step, {})[outcome.part] = part
        if part.end in ENDS:
            self.last = max(self.last, outcome.step)


class Book:
    """All open episodes, and the keys of the most recently sealed ones."""

    def __init__(self) -> None:
        self.episodes: dict[EpisodeKey, OpenEpisode] = {}
        self.sealed: OrderedDict[tuple[str, str, str], None] = OrderedDict()  # keys, oldest first

    def decide(self, key: EpisodeKey, step: int, place: Place, subject: str, caller: str, now: float) -> bool:
        """Adds a decision. A repeated decision replaces the earlier one while that has no outcome.

        Returns False, and adds nothing, if the episode was sealed or the decision has an outcome.
        """
        if key in self.sealed:
            return False
        episode = self.episodes.get(key) or self.opened(key, subject, caller, now)
        if step in episode.parts:
            return False
        episode.places[step] = place.packed
        episode.segments.add(place.segment)
        episode.changed = now
        return True

    def opened(self, key: tuple[str, str, str], subject: str, caller: str, now: float) -> OpenEpisode:
        """Returns a new open episode."""
        named = EpisodeKey(*key)
        episode = self.episodes[named] = OpenEpisode(named, subject, caller, now)
        return episode

    def judge(self, key: EpisodeKey, outcome: pb.Outcome) -> Verdict:
        """Returns what `report` would return for the outcome, and changes nothing."""
        if key in self.sealed:
            return Verdict.TOO_LATE
        episode = self.episodes.get(key)
        if episode is None or outcome.step not in episode.places:
            return Verdict.UNKNOWN
        known = episode.parts.get(outcome.step, {}).get(outcome.part)
        if known is None:
            return Verdict.RECORDED
        return Verdict.REPEATED if known == _part(outcome) else Verdict.CONFLICT

    def report(self, key: EpisodeKey, outcome: pb.Outcome, segment: int, now: float) -> Verdict:
        """Adds an outcome unless it is known already, too late, or of an unknown decision.

        `segment`: the journal's segment that holds the outcome.
        """
        verdict = self.judge(key, outcome)
        if verdict is Verdict.RECORDED:
            episode = self.episodes[key]
            episode.take(outcome)
            episode.segments.add(segment)
            episode.changed = now
        return verdict

    @property
    def segments(self) -> set[int]:
        """The journal's segments that open episodes need."""
        return set().union(*(episode.segments for episode in self.episodes.values()))

    def silent(self, policy: str, before: float) -> list[OpenEpisode]:
        """Returns the policy's episodes in which nothing has happened since `before`."""
        return [e for e in self.episodes.values() if e.key.policy == policy and e.changed <= before]

    def seal(self, key: EpisodeKey) -> None:
        """Closes an episode. Outcomes that come later are too late."""
        self.episodes.pop(key, None)
        self.sealed[key] = None
        while len(self.sealed) > REMEMBERED:
            self.sealed.popitem(last=False)

    def forget(self, key: EpisodeKey) -> None:
        """Removes an open episode that was deleted."""
        self.episodes.pop(key, None)


def _part(outcome: pb.Outcome) -> Part:
    return Part(outcome.reward, outcome.end or pb.GOES_ON, outcome.final_observation)


def sealed_episode(episode: OpenEpisode, decisions: dict[int, pb.RecordedStep]) -> pb.Episode:
    """Returns the episode as learners read it; `decisions`: by step, from the journal.

    An episode without a reported end is ABANDONED.
    """
    whole = pb.Episode(
        policy=episode.key.policy,
        episode_id=episode.key.episode_id,
        agent_id=episode.key.agent_id,
        subject=episode.subject,
        caller=episode.caller,
        end=pb.ABANDONED,
    )
    for number in sorted(episode.places):
        parts = episode.parts.get(number, {})
        recorded = whole.steps.add()
        recorded.CopyFrom(decisions[number])
        recorded.reported = bool(parts)
        recorded.reward = sum(parts[name].reward for name in sorted(parts))
        if (end := episode.end_of(number)) in ENDS:
            whole.end = pb.End.ValueType(end)
            finals = (part.final_observation for part in parts.values())
            size = len(recorded.observation)  # a row of another size belongs to a version with another space
            whole.final_observation = next((final for final in finals if len(final) == size), b"")
    return whole
