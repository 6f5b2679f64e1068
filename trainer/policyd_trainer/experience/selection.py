"""Which sealed episodes a batch is made of, and what is dropped, by reason and length."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from collections.abc import Sequence as Many
from dataclasses import dataclass, field

from policy_api.v1 import experience_pb2 as pb
from policyd_trainer.experience.sequences import Sequence


@dataclass
class Dropped:
    """Counts episodes that were not learned from, by reason and by length in powers of two.

    Dropping silently biases learning: long episodes are dropped more often than short ones.
    """

    episodes: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    lengths: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, reason: str, steps: int) -> None:
        """Counts one episode of so many steps."""
        self.episodes[reason] += 1
        self.steps[reason] += steps
        self.lengths[reason][max(0, steps.bit_length() - 1)] += 1

    def merge(self, other: Dropped) -> None:
        """Adds another's counts."""
        self.episodes.update(other.episodes)
        self.steps.update(other.steps)
        for reason, lengths in other.lengths.items():
            self.lengths[reason].update(lengths)

    def messages(self) -> tuple[pb.DroppedEpisodes, ...]:
        """The counts as the contract has them."""
        return tuple(
            pb.DroppedEpisodes(
                reason=reason,
                episodes=self.episodes[reason],
                steps=self.steps[reason],
                lengths=[lengths[place] for place in range(max(lengths) + 1)],
            )
            for reason, lengths in sorted(self.lengths.items())
        )

    @classmethod
    def of(cls, messages: Iterable[pb.DroppedEpisodes]) -> Dropped:
        """The sum of the counts that `messages` gave."""
        dropped = cls()
        for message in messages:
            dropped.episodes[message.reason] += message.episodes
            dropped.steps[message.reason] += message.steps
            dropped.lengths[message.reason].update(dict(enumerate(message.lengths)))
        return dropped

    @property
    def total(self) -> int:
        """The number of dropped episodes, for any reason."""
        return sum(self.episodes.values())


@dataclass(frozen=True)
class Candidate:
    """A sequence, with its caller and its subject."""

    sequence: Sequence
    caller: str
    subject: str


def within_shares(
    candidates: Many[Candidate], caller_share: float, subject_share: float, dropped: Dropped
) -> list[Candidate]:
    """Drops episodes until no caller and no subject has more than its share of the batch's steps.

    A share of 0 or 1 is no limit. Of a caller with too many steps, the episodes that came last are
    dropped. A single caller is not limited, because nobody else needs the room. If there are so few
    callers that one of them must have more, each is limited by what the others sent.
    """
    kept = list(candidates)
    for share, reason in ((caller_share, "CALLER_CAP"), (subject_share, "SUBJECT_CAP")):
        if 0 < share < 1:
            kept = _capped(kept, share, reason, dropped)
    return kept


def _capped(candidates: list[Candidate], share: float, reason: str, dropped: Dropped) -> list[Candidate]:
    """Drops the episodes with which a name would have more steps than `largest_parts` allows."""

    def name(candidate: Candidate) -> str:
        return candidate.caller if reason == "CALLER_CAP" else candidate.subject

    totals: Counter[str] = Counter()
    for candidate in candidates:
        totals[name(candidate)] += len(candidate.sequence)
    if len(totals) < 2:
        return candidates
    limits = dict(zip(totals, largest_parts(list(totals.values()), share), strict=True))
    kept, used = [], Counter[str]()
    for candidate in candidates:
        who, steps = name(candidate), len(candidate.sequence)
        if used[who] + steps > limits[who]:
            dropped.add(reason, steps)
            continue
        used[who] += steps
        kept.append(candidate)
    return kept


def largest_parts(totals: Many[int], share: float) -> list[float]:
    """The most steps of each name, so that it has at most `share` of what all may keep.

    `totals` are the steps that each name has. Names with too many steps all get the same number L =
    share * sum of min(total, L). If there are fewer than 1 / share names there is no such L. Then
    each gets share / (1 - share) times what all others have.
    """
    if share * len(totals) <= 1:
        return [share / (1 - share) * (sum(totals) - total) for total in totals]
    ordered = sorted(totals)
    small = 0  # steps of the names that have fewer than L
    for place, total in enumerate(ordered):
        large = len(ordered) - place  # names that keep L steps each, so L = share * (small + large * L)
        if share * large < 1 and (part := share * small / (1 - share * large)) < total:
            return [part] * len(totals)
        small += total
    return [float(ordered[-1])] * len(totals)
