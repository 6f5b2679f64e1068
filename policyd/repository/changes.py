"""Compare-and-set of a policy's aliases and of its traffic, on whatever storage."""

from __future__ import annotations

from collections.abc import Callable

from policy_api.v1.traffic_pb2 import Traffic
from policyd.errors import Conflict
from policyd.repository import alias_format, traffic
from policyd.repository.records import AliasState
from policyd.repository.storage import Storage


def changed_aliases(
    storage: Storage, policy: str, change: Callable[[AliasState], AliasState], expected: int | None
) -> AliasState:
    """Replaces the aliases by the result of `change`. Nothing is written if that is the same.

    Raises Conflict if `expected` is given and is not their generation.
    """
    result = AliasState(policy)

    def replace(content: bytes | None) -> bytes | None:
        nonlocal result
        before = alias_format.decode(policy, content)
        if expected is not None and expected != before.generation:
            message = f"{policy} is at generation {before.generation}, not {expected}: read it again"
            raise Conflict(message)
        result = change(before)
        return None if result is before else alias_format.encode(result)

    storage.update_aliases(policy, replace)
    return result


def changed_traffic(
    storage: Storage, policy: str, change: Callable[[Traffic], Traffic], expected: int | None
) -> Traffic:
    """Replaces the traffic by the result of `change`. Nothing is written if that is the same.

    Raises Conflict if `expected` is given and is not its generation.
    """
    result = Traffic(policy=policy)

    def replace(content: bytes | None) -> bytes | None:
        nonlocal result
        before = traffic.decode(policy, content)
        if expected is not None and expected != before.generation:
            raise Conflict(
                f"the traffic of {policy} is at generation {before.generation}, not {expected}: read it again"
            )
        result = change(before)
        return None if result is before else traffic.encode(result)

    storage.update_traffic(policy, replace)
    return result


def uses(aliases: AliasState, shared: Traffic) -> dict[int, str]:
    """Returns the versions in use, with the reason: an alias, a share, a shadow or a canary."""
    used = {version: f"alias {name}" for name, version in aliases.aliases.items()}
    for each in shared.aliases:
        used.update({share.version: f"a share of alias {each.alias}" for share in each.shares})
    used.update({shadow.version: f"a shadow of alias {shadow.alias}" for shadow in shared.shadows})
    if shared.HasField("canary"):
        used.update(dict.fromkeys((shared.canary.version, shared.canary.base_version), "the canary"))
    return used
