"""The traffic of one policy: which versions share an alias, and the canary.

There is one JSON document per policy, separate from the alias state, so that readers of older
releases go on with the alias's own version. Changes are a compare-and-set on the generation.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from policy_api.v1.traffic_pb2 import AliasTraffic, Canary, Shadow, Traffic, TrafficChange, TrafficShare
from policyd.errors import CorruptArtifact, FieldViolation, InvalidArgument

KEPT_CHANGES = 200
MAX_BYTES = 4 * 2**20
_ROUNDING = 1e-9


def decode(policy: str, content: bytes | None) -> Traffic:
    """Returns the state; generation 0 if there is no document. CorruptArtifact: it is damaged."""
    if content is None:
        return Traffic(policy=policy)
    try:
        state = json_format.Parse(content, Traffic(), ignore_unknown_fields=True)
        check_shares(state)
    except (json_format.ParseError, UnicodeDecodeError, InvalidArgument) as error:
        text = " ".join(str(error).split())[:200]
        raise CorruptArtifact(f"the traffic aliases/{policy}.traffic is damaged: {text}") from None
    if state.policy != policy:
        message = f"the traffic aliases/{policy}.traffic is damaged: it is of policy {state.policy[:80]!r}"
        raise CorruptArtifact(message)
    return state


def encode(state: Traffic) -> bytes:
    """Returns the document's bytes: in UTF-8, so that the longest history stays below MAX_BYTES."""
    return json_format.MessageToJson(state, indent=1, ensure_ascii=False).encode()


def check_shares(state: Traffic) -> None:
    """Raises InvalidArgument if the shares of an alias are not valid."""
    for each in state.aliases:
        validate_shares(each.shares)
    for shadow in state.shadows:
        validate_shares([TrafficShare(version=shadow.version, share=shadow.share)])


def validate_shares(shares: Sequence[TrafficShare]) -> None:
    """Raises InvalidArgument, which names the wrong share, or says that there are too many."""
    violations = [
        FieldViolation(f"shares[{i}].{name}", f"got {got}, expected {expected}")
        for i, each in enumerate(shares)
        for name, got, fits, expected in (
            ("version", each.version, each.version >= 1, "1 or above"),
            ("share", each.share, 0 < each.share <= 1, "above 0, at most 1"),
        )
        if not fits
    ]
    if violations:
        text = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidArgument(text, violations=tuple(violations))
    if len({each.version for each in shares}) < len(shares):
        raise InvalidArgument.of("shares", got="a version twice", wanted="each version once")
    total = math.fsum(each.share for each in shares)
    if total > 1 + _ROUNDING:
        raise InvalidArgument.of("shares", got=f"{total:g} together", wanted="at most 1")


def shares_of(state: Traffic, alias: str) -> AliasTraffic | None:
    """Returns the shares of an alias. None: its own version answers everything."""
    return next((each for each in state.aliases if each.alias == alias), None)


def with_shares(
    state: Traffic, alias: str, shares: Sequence[TrafficShare], *, actor: str, reason: str
) -> Traffic:
    """Returns the state after the alias got these shares.

    Without shares, the alias's own version answers everything.
    """
    after = Traffic()
    after.CopyFrom(state)
    after.generation += 1
    before = shares_of(state, alias)
    del after.aliases[:]
    after.aliases.extend(each for each in state.aliases if each.alias != alias)
    if shares:
        versions = [each.version for each in shares]
        same = before is not None and [each.version for each in before.shares] == versions
        salt = before.salt if before is not None and same else f"{state.policy}-{alias}-{after.generation}"
        after.aliases.append(AliasTraffic(alias=alias, shares=shares, salt=salt))
    _note(after, TrafficChange(alias=alias, shares=shares, actor=actor, reason=reason))
    return after


def canary_ended(
    state: Traffic, end: Canary.State.ValueType, reason: str, *, actor: str = "canary"
) -> Traffic:
    """Returns the state after the canary ended and lost its share.

    If no canary was running, the state is returned unchanged.
    """
    if state.canary.state != Canary.RUNNING:
        return state
    after = with_shares(state, state.canary.alias, [], actor=actor, reason=reason)
    after.canary.state, after.canary.reason, after.canary.share = end, reason, 0.0
    after.canary.end_time.CopyFrom(now())
    return after


def shadow_of(state: Traffic, alias: str) -> Shadow | None:
    """Returns the alias's shadow. None: it has none."""
    return next((each for each in state.shadows if each.alias == alias), None)


def with_shadow(
    state: Traffic, alias: str, version: int, share: float, *, actor: str, reason: str
) -> Traffic:
    """Returns the state after the alias got this shadow. Share 0: it has none any more."""
    after = Traffic()
    after.CopyFrom(state)
    after.generation += 1
    before = shadow_of(state, alias)
    del after.shadows[:]
    after.shadows.extend(each for each in state.shadows if each.alias != alias)
    if share:
        same = before is not None and before.version == version  # the same version: its comparison continues
        start = before.start_time if before is not None and same else now()
        after.shadows.append(Shadow(alias=alias, version=version, share=share, start_time=start))
    elif before is not None:
        version = before.version
    shared = shares_of(state, alias)
    change = TrafficChange(alias=alias, actor=actor, reason=reason)
    change.shares.extend(() if shared is None else shared.shares)
    change.shadow.CopyFrom(TrafficShare(version=version, share=share))
    _note(after, change)
    return after


def _note(after: Traffic, change: TrafficChange) -> None:
    """Adds a change to the history."""
    change.generation = after.generation
    change.change_time.CopyFrom(now())
    after.history.append(change)
    del after.history[:-KEPT_CHANGES]


def position(salt: str, key: str) -> float:
    """Returns a key's position between 0 and 1, the same on every server. It depends on `salt`."""
    digest = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def now() -> Timestamp:
    """The time of a change."""
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp
