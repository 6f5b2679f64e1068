"""The PROMOTING phase: a compare-and-set against the champion that was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from policy_api.v1.gate_pb2 import GateVerdict
from policyd.errors import Conflict
from policyd.repository import AliasState, ModelRepository, PublishedVersion

ACTOR = "trainer"
MAX_ROUNDS = 10  # it gives up if the champion changes so often while the gate measures


@dataclass(frozen=True)
class Promoted:
    """The result of a promotion."""

    promoted: bool
    reason: str
    generation: int  # after the promotion; 0: not promoted
    verdict: GateVerdict


def promote(
    repository: ModelRepository,
    published: PublishedVersion,
    verdict: GateVerdict,
    judge_again: Callable[[], GateVerdict],
) -> Promoted:
    """Points the alias to the version if the gate allows it.

    If somebody has promoted another version meanwhile, the gate runs again, against that version.
    A version that was promoted before is not promoted again, even if the alias has moved since.
    """
    alias = verdict.alias
    for _ in range(MAX_ROUNDS):
        state = repository.aliases(published.policy)
        if (before := _earlier(state, alias, published.version)) is not None:
            return _as_before(state, alias, published.version, before, verdict)
        if not verdict.promote:
            return Promoted(False, f"not promoted: {verdict.explanation}", 0, verdict)
        if state.aliases.get(alias, 0) != verdict.champion_version:
            verdict = judge_again()
            repository.add_verdict(published.policy, published.version, verdict)
            continue
        try:
            state = repository.set_alias(
                published.policy,
                alias,
                published.version,
                actor=ACTOR,
                reason=verdict.explanation,
                expected_generation=state.generation,
            )
        except Conflict:
            continue
        return Promoted(True, f"promoted to {alias}: {verdict.explanation}", state.generation, verdict)
    return Promoted(False, f"not promoted: {alias} changed {MAX_ROUNDS} times meanwhile", 0, verdict)


def _earlier(state: AliasState, alias: str, version: int) -> int | None:
    """The generation at which the version was first promoted."""
    changes = (c for c in state.history_of(alias) if c.version == version and c.kind == "set")
    return next((change.generation for change in changes), None)


def _as_before(
    state: AliasState, alias: str, version: int, generation: int, verdict: GateVerdict
) -> Promoted:
    if state.aliases[alias] == version:
        return Promoted(True, f"promoted to {alias}: {verdict.explanation}", generation, verdict)
    since = f"{alias} names version {state.aliases[alias]} since"
    return Promoted(False, f"it was promoted ({verdict.explanation}), but {since}", 0, verdict)
