"""Copies a repository to another place.

The copy has the same versions under the same numbers, their aliases, and their shares and shadows.
A running canary is marked as ended in the copy, because its evidence stays with the source.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from policy_api.v1.traffic_pb2 import Canary, Traffic
from policyd.errors import AlreadyExists, Conflict, NotFound
from policyd.repository import alias_format, traffic, triton, versions
from policyd.repository.records import METADATA, AliasState
from policyd.repository.store import ModelRepository

ACTOR = "policyctl copy"  # the author of changes that a copy makes in the history


@dataclass(frozen=True)
class Copied:
    """What a copy did."""

    copied: tuple[str, ...]  # "policy/version"
    existed: tuple[str, ...]  # versions that the target already had, with the same content


def copy(
    source: ModelRepository,
    target: ModelRepository,
    policies: Collection[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Copied:
    """Copies every version of the policies, verified, then their aliases and traffic.

    Without `policies`, it copies all policies. What the target already has with the same content
    stays, so an interrupted copy can be repeated.

    Raises:
        NotFound: the source has no such policy.
        CorruptArtifact: a file of the source is damaged; nothing of its version is copied.
        AlreadyExists: the target has another version with the same number.
        Conflict: the target's aliases or their traffic have a history of their own.
    """
    target.prepare()
    there = source.policies()
    if unknown := sorted(set(policies) - set(there)):
        raise NotFound(f"no policy {unknown[0]!r} in {source.location}; there are: {', '.join(there)}")
    copied: list[str] = []
    existed: list[str] = []
    for policy in sorted(policies or there):
        for number in source.versions(policy):
            name = f"{policy}/{number}"
            (copied if _copy_version(source, target, policy, number) else existed).append(name)
            progress(name)
        _copy_aliases(source, target, policy)
        _copy_traffic(source, target, policy)
    return Copied(tuple(copied), tuple(existed))


def _copy_version(source: ModelRepository, target: ModelRepository, policy: str, number: int) -> bool:
    """Copies one version. Returns whether it was copied; False: the target already had it."""
    published = source.read(policy, number)
    if _exists(target, policy, number, published.digest):
        return False
    description = source.storage.read(policy, number, METADATA, versions.MAX_METADATA_BYTES)
    assert description is not None, "it has just been read"
    files = {name: source.read_published(published, name) for name in published.files}
    config = triton.model_config(published.metadata).encode()
    if not target.storage.restore(policy, number, {**files, METADATA: description}, config):
        _exists(target, policy, number, published.digest)
        return False
    for name in source.added_files(published):
        target.storage.add(policy, number, name, source.read_added(published, name))
    return True


def _exists(target: ModelRepository, policy: str, number: int, digest: str) -> bool:
    try:
        there = target.read(policy, number)
    except NotFound:
        return False
    if there.digest != digest:
        place = f"{target.location} has another {policy} version {number}"
        raise AlreadyExists(f"{place} (sha256 {there.digest[:12]}, the source's is {digest[:12]})")
    return True


def _copy_aliases(source: ModelRepository, target: ModelRepository, policy: str) -> None:
    state = source.aliases(policy)

    def follow(content: bytes | None) -> bytes | None:
        before: AliasState = alias_format.decode(policy, content)
        if before.history != state.history[: len(before.history)]:
            message = f"the aliases of {policy} in {target.location} have a history of their own"
            raise Conflict(f"{message}: generation {before.generation} there, {state.generation} here")
        return None if before == state else alias_format.encode(state)

    if state.generation:
        target.storage.update_aliases(policy, follow)


def _copy_traffic(source: ModelRepository, target: ModelRepository, policy: str) -> None:
    """Copies shares, shadows and the history. A running canary is marked as ended in the copy."""
    whole = source.traffic(policy)
    if not whole.generation:
        return
    reason = "the repository was copied; the canary goes on where its evidence is"
    state = traffic.canary_ended(whole, Canary.CANCELLED, reason, actor=ACTOR)

    def follow(before: Traffic) -> Traffic:
        first = state.history[0].generation
        own = [each for each in before.history if each.actor != ACTOR and each.generation >= first]
        if any(each not in state.history for each in own):
            message = f"the traffic of {policy} in {target.location} has a history of its own"
            raise Conflict(f"{message}: generation {before.generation} there, {state.generation} here")
        return before if before == state else state

    target.change_traffic(policy, follow)
