"""Removes versions that nobody needs any more: a job that learns without end would fill the disk.

Only versions that a continuous job made are removed. These stay:

- what an alias names or shares with others,
- what one of the last `keep` changes of an alias named, for rollbacks lead there,
- the newest `keep`,
- what acted in an episode that has not been learned from,
- what is younger than a minute: a server may be about to load it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from policy_api.v1 import experience_pb2 as pb
from policyd.errors import PolicydError
from policyd.experience.journal import DECISION
from policyd.experience.sealed import Position, read_sealed
from policyd.experience.segments import read
from policyd.repository import ModelRepository
from policyd_trainer.experience.state import FILE

YOUNG = timedelta(minutes=1)
logger = logging.getLogger(__name__)


def prune(
    repository: ModelRepository, experience: Path, policy: str, position: Position, keep: int
) -> list[int]:
    """Removes versions that nobody needs and returns their numbers.

    It reads the whole journal, so it is not called after every version.
    """
    numbers = repository.versions(policy)
    state = repository.aliases(policy)
    kept = {*numbers[-keep:], *repository.in_use(policy), *(c.version for c in state.history[-keep:])}
    candidates = list(_made_by_jobs(repository, policy, [each for each in numbers if each not in kept]))
    if not candidates:
        return []
    named = named_versions(experience, policy, position)
    removed = [number for number in candidates if number not in named and _remove(repository, policy, number)]
    if removed:
        logger.info("%s: removed versions %s", policy, ", ".join(map(str, removed)))
    return removed


def named_versions(experience: Path, policy: str, position: Position) -> set[int]:
    """The versions that acted in open episodes, and in sealed ones after `position`."""
    named: set[int] = set()
    # The journal comes first: an episode that is sealed meanwhile is in the one or in the other.
    for segment in sorted((experience / "journal").glob("*.log")):
        try:
            records = [record for record in read(segment) if record.kind == DECISION]
        except FileNotFoundError:  # the recorder has just sealed and removed it
            continue
        decisions = map(pb.DecisionRecord.FromString, (record.payload for record in records))
        named.update(decision.step.version for decision in decisions if decision.policy == policy)
    for sealed in read_sealed(experience / "episodes" / policy, position):
        named.update(step.version for step in sealed.episode.steps)
    return named


def _made_by_jobs(repository: ModelRepository, policy: str, numbers: Iterable[int]) -> Iterator[int]:
    """The given numbers that a continuous job made, in ascending order.

    Stops at the first version that is too young to remove.
    """
    for number in numbers:
        try:
            version = repository.read(policy, number)
        except PolicydError:  # damaged, or gone: left for people to examine
            continue
        if version.create_time > datetime.now(UTC) - YOUNG:
            return
        if FILE in version.files:
            yield number


def _remove(repository: ModelRepository, policy: str, number: int) -> bool:
    try:
        return repository.remove(policy, number)
    except PolicydError as error:  # an alias has just been pointed at it, or the store is unavailable
        logger.info("%s", error.message)
        return False
