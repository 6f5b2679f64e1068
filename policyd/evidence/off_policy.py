"""From recorded episodes to a verdict about a version that did not act. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from policyd.counted import counted
from policyd.evidence.doubly_robust import doubly_robust
from policyd.evidence.intervals import Interval, mean_interval, mean_sequence
from policyd.evidence.ips import ips, self_normalised_ips
from policyd.evidence.logs import Logs
from policyd.evidence.weights import (
    MOST_DEVIATIONS,
    deviations_from_zero,
    effective_sample_size,
    largest_share,
    mean_weight,
)

LEAST_EPISODES = 50
LEAST_EFFECTIVE = 50.0  # effective episodes that are needed
LEAST_EFFECTIVE_SHARE = 0.05  # the same as a share of all episodes
MOST_SHARE = 0.05  # largest share of the sum of weights that one episode may have
ERROR_RATE = 0.05


class Verdict(StrEnum):
    """What the evidence says of a version, compared with the versions that acted."""

    BETTER = "BETTER"
    WORSE = "WORSE"
    CANNOT_TELL = "CANNOT_TELL"


@dataclass(frozen=True)
class Evaluation:
    """A version's estimated return, compared with the recorded one. Intervals are of 95%."""

    verdict: Verdict
    reason: str  # one sentence
    episodes: int
    steps: int
    logged_return: Interval  # of the versions that acted
    ips: Interval  # of the target's mean return
    self_normalised_ips: Interval
    doubly_robust: Interval
    difference: Interval  # doubly robust minus logged, valid for one look
    sequence: Interval  # the same, valid at all looks together; it decides
    effective_sample_size: float
    largest_share: float  # the largest share of the sum of weights that one episode has
    mean_weight: float  # mean over the steps; 1 if the recorded probabilities are right
    mean_weight_deviations: float  # distance from 1, in standard errors
    mean_weight_unexplained: bool  # too far from 1 to be chance, even with unseen actions
    episode_weight: float  # mean weight of whole episodes; 1 if they show everything that the target does
    episode_weight_deviations: float  # distance from 1, in standard errors

    @property
    def trusted(self) -> bool:
        """Whether the estimates can be trusted. Only then does `sequence` decide."""
        return not distrust(self)


def evaluate(logs: Logs) -> Evaluation | None:
    """Returns the verdict. None: there are fewer than LEAST_EPISODES episodes."""
    if len(logs) < LEAST_EPISODES:
        return None
    last = logs.weights[:, -1]
    robust, returns = doubly_robust(logs), logs.returns
    weight = mean_weight(logs)
    found = Evaluation(
        verdict=Verdict.CANNOT_TELL,
        reason="",
        episodes=len(logs),
        steps=int(logs.valid.sum()),
        logged_return=mean_interval(returns),
        ips=mean_interval(ips(logs)),
        self_normalised_ips=mean_interval(self_normalised_ips(logs)),
        doubly_robust=mean_interval(robust),
        difference=mean_interval(robust - returns),
        sequence=mean_sequence(robust - returns, ERROR_RATE),
        effective_sample_size=effective_sample_size(last),
        largest_share=largest_share(last),
        mean_weight=weight.mean,
        mean_weight_deviations=weight.deviations,
        mean_weight_unexplained=weight.unexplained,
        episode_weight=float(last.mean()),
        episode_weight_deviations=deviations_from_zero(last - 1),
    )
    verdict, reason = _judged(found, logs.horizon)
    return Evaluation(**{**vars(found), "verdict": verdict, "reason": reason})


def distrust(found: Evaluation, horizon: int = 0) -> str:
    """Returns why the estimates cannot be trusted; empty: they can."""
    if abs(found.mean_weight_deviations) > MOST_DEVIATIONS:
        return _mean_weight_is_off(found)
    least = max(LEAST_EFFECTIVE, LEAST_EFFECTIVE_SHARE * found.episodes)
    if found.effective_sample_size < least:
        return (
            f"the weights leave {found.effective_sample_size:.1f} effective episodes of {found.episodes}, "
            f"fewer than {least:.0f}: the version acts too differently over {horizon or 'so many'} steps"
        )
    if found.largest_share > MOST_SHARE:
        return f"one episode has {found.largest_share:.0%} of the weight, more than {MOST_SHARE:.0%}"
    if abs(found.episode_weight_deviations) > MOST_DEVIATIONS:
        return (
            f"the mean weight of an episode is {found.episode_weight:.3g}, "
            f"{abs(found.episode_weight_deviations):.1f} standard errors from 1: "
            "some versions that acted do almost nothing of what this one does"
        )
    return ""


def _mean_weight_is_off(found: Evaluation) -> str:
    told = (
        f"the mean weight is {found.mean_weight:.3g}, {abs(found.mean_weight_deviations):.1f} standard "
        "errors from 1"
    )
    if not found.mean_weight_unexplained:
        sample = f"{counted(found.steps, 'steps')} of {counted(found.episodes, 'episodes')}"
        return f"{told}, but {sample} are too small a sample to say why: record more episodes"
    why = "the recorded probabilities are not those that the actions were drawn with"
    if found.mean_weight > 1:
        return f"{told}: {why}"
    return f"{told}: {why}, or what the version does was almost never recorded"


def _judged(found: Evaluation, horizon: int) -> tuple[Verdict, str]:
    if reason := distrust(found, horizon):
        return Verdict.CANNOT_TELL, reason
    low, high = found.sequence.low, found.sequence.high
    range_ = f"the mean return differs by {low:.4g} to {high:.4g}"
    if low > 0:
        return Verdict.BETTER, range_
    if high < 0:
        return Verdict.WORSE, range_
    return Verdict.CANNOT_TELL, f"{range_}, which includes 0: record more episodes"
