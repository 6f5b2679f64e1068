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
    """Replaces the aliases by what `change` makes of them; the same ones stay.

    Conflict: they are not at generation `expected`, where one is given.
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
    """Replaces the traffic by what `change` makes of it; the same one stays.

    Conflict: it is not at generation `expected`, where one is given.
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
    """The versions that an alias names, that share or shadow one, and the canary's."""
    used = {version: f"alias {name}" for name, version in aliases.aliases.items()}
    for each in shared.aliases:
        used.update({share.version: f"a share of alias {each.alias}" for share in each.shares})
    used.update({shadow.version: f"a shadow of alias {shadow.alias}" for shadow in shared.shadows})
    if shared.HasField("canary"):
        used.update(dict.fromkeys((shared.canary.version, shared.canary.base_version), "the canary"))
    return used
