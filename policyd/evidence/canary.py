"""A canary's rules: what its share becomes, and when it ends. Pure functions.

Returns are compared in the order in which episodes began, up to the oldest that is still open.
Otherwise short episodes would count before long ones, and a version whose episodes last longer
would look worse.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from policyd.evidence.intervals import Interval
from policyd.evidence.moments import Moments
from policyd.evidence.off_policy import Verdict
from policyd.evidence.sequential import difference_interval

#: The chance that the interval of the returns is wrong at any look, both sides together.
RETURNS_ERROR = 0.05
#: The same chance for the share of episodes whose outcomes were reported.
REPORTED_ERROR = 0.005
#: How far this share may lie below the champion's.
MISSING_MARGIN = 0.1


@dataclass(frozen=True)
class Steps:
    """How a canary's share of the traffic rises."""

    first: float  # first share of the traffic
    last: float
    episodes: int = 50  # compared episodes at each share before the next
    growth: float = 2.0

    def share(self, compared: int) -> float:
        """Returns the share after `compared` of the version's episodes were compared."""
        return min(self.last, self.first * self.growth ** (compared // self.episodes))


@dataclass(frozen=True)
class Arm:
    """What is known of one version's episodes. Counts only those that began early enough."""

    returns: Moments = field(default_factory=Moments)  # of the episodes with an outcome for every step
    # 1 for an episode that has its outcomes, 0 for one whose client sent nothing more.
    reported: Moments = field(default_factory=Moments)


@dataclass(frozen=True)
class Judgement:
    """What the evidence says now."""

    verdict: Verdict
    reason: str
    difference: Interval  # of mean return, canary minus champion


def judge(champion: Arm, canary: Arm) -> Judgement:
    """Returns BETTER, WORSE or CANNOT_TELL from all episodes so far. It is valid at every look."""
    difference = difference_interval(champion.returns, canary.returns, RETURNS_ERROR)
    silent = difference_interval(champion.reported, canary.reported, REPORTED_ERROR)
    told = f"mean return differs by {difference.low:.4g} to {difference.high:.4g}"
    if silent.high < -MISSING_MARGIN:
        reason = (
            f"outcomes stopped coming: {canary.reported.mean:.0%} of its episodes have them, "
            f"{champion.reported.mean:.0%} of the champion's"
        )
        return Judgement(Verdict.WORSE, reason, difference)
    if difference.high < 0:
        return Judgement(Verdict.WORSE, told, difference)
    if difference.low > 0:
        return Judgement(Verdict.BETTER, told, difference)
    return Judgement(Verdict.CANNOT_TELL, told, difference)
