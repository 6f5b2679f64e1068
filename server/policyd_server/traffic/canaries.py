"""How a canary's state follows from another. Pure functions of the traffic document."""

from __future__ import annotations

import math

from google.protobuf.duration_pb2 import Duration

from policy_api.v1 import traffic_pb2 as pb
from policyd.counted import counted
from policyd.errors import FailedPrecondition, FieldViolation, InvalidArgument
from policyd.evidence.canary import Arm, Judgement, Steps
from policyd.repository import traffic

SHARE, UP_TO, STEP_EPISODES = 0.05, 0.5, 50
PATIENCE, OUTCOME_TIMEOUT = 24 * 3600, 600
MOST_POINTS = 200
LONGEST = 90 * 86400.0  # seconds


def config_of(given: pb.CanaryConfig) -> pb.CanaryConfig:
    """Returns the configuration with all defaults set.

    Raises InvalidArgument, which names every field that is out of range.
    """
    config = pb.CanaryConfig()
    config.CopyFrom(given)
    config.share, config.up_to = given.share or SHARE, given.up_to or max(UP_TO, given.share)
    config.step_episodes = given.step_episodes or STEP_EPISODES
    if not given.HasField("patience"):
        config.patience.CopyFrom(Duration(seconds=PATIENCE))
    if not given.HasField("outcome_timeout"):
        config.outcome_timeout.CopyFrom(Duration(seconds=OUTCOME_TIMEOUT))
    lengths = [(name, seconds_of(getattr(config, name))) for name in ("patience", "outcome_timeout")]
    checks = (
        ("share", config.share, 0 < config.share <= 1, "above 0, at most 1"),
        ("up_to", config.up_to, config.share <= config.up_to <= 1, "at least `share`, at most 1"),
        ("step_episodes", config.step_episodes, 1 <= config.step_episodes <= 10**6, "1 to 1000000"),
        *((name, length, 1 <= length <= LONGEST, "1 second to 90 days") for name, length in lengths),
    )
    violations = tuple(
        FieldViolation(f"config.{name}", f"got {got}, expected {wanted}")
        for name, got, fits, wanted in checks
        if not fits
    )
    if violations:
        text = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgument(text, violations=violations)
    return config


def seconds_of(duration: Duration) -> float:
    """Returns a duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def steps_of(config: pb.CanaryConfig) -> Steps:
    """Returns how its share rises."""
    return Steps(config.share, config.up_to, config.step_episodes)


def is_running(state: pb.Traffic) -> bool:
    """Whether a canary runs."""
    return state.canary.state == pb.Canary.RUNNING


def require_running(state: pb.Traffic) -> None:
    """Raises FailedPrecondition if no canary runs."""
    if not is_running(state):
        raise FailedPrecondition(f"{state.policy} has no canary that runs", reason="NO_CANARY")


def refuse_running(state: pb.Traffic, alias: str) -> None:
    """Raises FailedPrecondition if a canary runs on the alias."""
    if is_running(state) and state.canary.alias == alias:
        message = f"version {state.canary.version} is a canary of {alias}: cancel it first"
        raise FailedPrecondition(message, reason="CANARY_RUNS")


def started(
    state: pb.Traffic, request: pb.StartCanaryRequest, alias: str, base: int, config: pb.CanaryConfig
) -> pb.Traffic:
    """Returns the state with a canary.

    Raises FailedPrecondition if a canary runs, or if the alias is shared already.
    """
    if is_running(state):
        message = f"version {state.canary.version} is a canary already: a policy has one at a time"
        raise FailedPrecondition(message, reason="CANARY_RUNS")
    if traffic.shares_of(state, alias) is not None:
        message = f"versions share {alias} already: take their shares back first"
        raise FailedPrecondition(message, reason="SHARES_SET")
    shares = [pb.TrafficShare(version=request.version, share=config.share)]
    reason = f"canary of version {request.version} starts"
    after = traffic.with_shares(state, alias, shares, actor=request.actor, reason=reason)
    after.canary.Clear()
    after.canary.MergeFrom(
        pb.Canary(
            state=pb.Canary.RUNNING,
            alias=alias,
            version=request.version,
            base_version=base,
            config=config,
            share=config.share,
            start_time=traffic.now(),
            reason="waits for returns",
            actor=request.actor,
            actor_reason=request.reason,
        )
    )
    return after


def observed(
    state: pb.Traffic, champion: Arm, challenger: Arm, judgement: Judgement, *, raised: float
) -> pb.Traffic:
    """Returns the state with the present evidence. Its share is `raised` if that is larger."""
    canary = state.canary
    if raised > canary.share:
        shares = [pb.TrafficShare(version=canary.version, share=raised)]
        reason = f"not worse after {counted(challenger.returns.n, 'episodes')}"
        after = traffic.with_shares(state, canary.alias, shares, actor="canary", reason=reason)
        after.canary.share = raised
    else:
        after = pb.Traffic()
        after.CopyFrom(state)
        after.generation += 1
    after.canary.reason = judgement.reason if challenger.returns.n else "waits for returns"
    after.canary.champion.CopyFrom(_arm(champion))
    after.canary.challenger.CopyFrom(_arm(challenger))
    after.canary.points.append(_point(challenger, judgement, after.canary.share))
    if len(after.canary.points) > MOST_POINTS:  # drop every other point of the older half
        half = MOST_POINTS // 2
        kept = [*after.canary.points[:half:2], *after.canary.points[half:]]
        del after.canary.points[:]
        after.canary.points.extend(kept)
    return after


def _arm(arm: Arm) -> pb.CanaryArm:
    return pb.CanaryArm(
        episodes=arm.reported.n,
        reported=arm.returns.n,
        mean_return=arm.returns.mean,
        std_return=math.sqrt(arm.returns.variance),
    )


def _point(challenger: Arm, judgement: Judgement, share: float) -> pb.CanaryPoint:
    difference = judgement.difference
    point = pb.CanaryPoint(
        time=traffic.now(), episodes=challenger.returns.n, share=share, difference=difference.mean
    )
    if math.isfinite(difference.low):
        point.low, point.high = difference.low, difference.high
    return point
