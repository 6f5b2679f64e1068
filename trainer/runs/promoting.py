"""The PROMOTING phase: whether the alias names the new version."""

from __future__ import annotations

from dataclasses import dataclass

from repository import ModelRepository, PublishedVersion

ACTOR = "trainer"


@dataclass(frozen=True)
class Promotion:
    """What a new version must be to be served."""

    promote: bool = False
    alias: str = "champion"
    min_return: float | None = None  # greedy mean return wanted at least


def promote(
    repository: ModelRepository, published: PublishedVersion, promotion: Promotion
) -> tuple[bool, str, int]:
    """(promoted, why or why not, generation or 0). Promoting what is promoted changes nothing."""
    if not promotion.promote:
        return False, "not promoted: promotion was not asked for", 0
    greedy = published.metadata.evaluation.greedy.mean
    if promotion.min_return is not None and greedy < promotion.min_return:
        reason = f"not promoted: greedy mean return {greedy:.1f} is below the floor {promotion.min_return:g}"
        return False, reason, 0
    reason = f"greedy mean return {greedy:.1f}"
    if promotion.min_return is not None:
        reason += f", at least {promotion.min_return:g}"
    state = repository.aliases(published.policy)
    if state.aliases.get(promotion.alias) != published.version:
        state = repository.set_alias(
            published.policy, promotion.alias, published.version, actor=ACTOR, reason=reason
        )
    return True, f"promoted to {promotion.alias}: {reason}", state.generation
