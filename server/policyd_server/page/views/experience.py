"""Experience: decisions, outcomes, and what was used for learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_api.v1.experience_pb2 import ExperienceConfig, ExperienceCount, GetExperienceResponse
from policyd.counted import counted
from policyd_server.page.views import words
from policyd_server.page.views.versions import Fact

MODES = ("OFF", "RECORD", "LEARN")


@dataclass(frozen=True)
class CountRow:
    """The counts of one version or of one caller."""

    key: str
    decisions: str
    outcomes: str
    episodes: str
    mean_return: str
    share: float  # the fraction of all decisions


@dataclass(frozen=True)
class DropRow:
    """Steps that were recorded but not used for learning, for one reason."""

    reason: str
    episodes: str
    steps: str


@dataclass(frozen=True)
class ExperienceView:
    """The experience of one policy."""

    mode: str
    generation: int
    facts: tuple[Fact, ...]
    by_version: tuple[CountRow, ...]
    by_caller: tuple[CountRow, ...]
    dropped: tuple[DropRow, ...]
    history: tuple[Fact, ...]  # who changed the mode, when and why, the newest first


def view(answer: GetExperienceResponse) -> ExperienceView:
    """Returns the view of a response."""
    return ExperienceView(
        mode=mode(answer.config),
        generation=answer.generation,
        facts=(
            Fact("Open episodes", f"{answer.open_episodes:,} with {counted(answer.open_steps, 'decisions')}"),
            Fact(
                "Learned from",
                f"{counted(answer.used_episodes, 'episodes')} with {counted(answer.used_steps, 'decisions')}",
            ),
            Fact("Late outcomes", f"{answer.late_outcomes:,}"),
            Fact("On disk", words.amount(answer.disk_bytes)),
        ),
        by_version=_counts(answer.by_version),
        by_caller=_counts(answer.by_caller),
        dropped=tuple(
            DropRow(each.reason, f"{each.episodes:,}", f"{each.steps:,}") for each in answer.dropped
        ),
        history=tuple(
            Fact(
                words.moment(change.change_time),
                f"{mode(change.config)} by {change.actor or 'nobody named'}: {change.reason or 'no reason'}",
            )
            for change in reversed(answer.history)
        ),
    )


def mode(config: ExperienceConfig) -> str:
    """`OFF`, `RECORD` or `LEARN`."""
    name = ExperienceConfig.Mode.Name(config.mode)
    return name if name in MODES else "OFF"


def _counts(counts: Sequence[ExperienceCount]) -> tuple[CountRow, ...]:
    total = sum(count.decisions for count in counts) or 1
    return tuple(
        CountRow(
            count.key,
            f"{count.decisions:,}",
            f"{count.outcomes:,}",
            f"{count.sealed_episodes:,}",
            words.number(count.mean_return) if count.sealed_episodes else "",
            count.decisions / total,
        )
        for count in counts
    )
