"""Deletes episodes from the book, the journal and the log of sealed episodes.

After that, no file holds their bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from policyd.experience import facts
from policyd.experience.book import Book, EpisodeKey
from policyd.experience.facts import EpisodeFacts
from policyd.experience.journal import Journal, key_of
from policyd.experience.sealed import SealedLog, episodes_of


def delete_episodes(
    policy: str, matches: Callable[[EpisodeFacts], bool], *, book: Book, journal: Journal, log: SealedLog
) -> int:
    """Deletes the policy's episodes, open and sealed, for which `matches` is true.

    Returns how many.
    """
    journal.commit(durable=True)
    opened = [
        episode.key
        for episode in book.episodes.values()
        if episode.key.policy == policy
        and matches(EpisodeFacts(episode.key.episode_id, episode.subject, episode.changed))
    ]
    for key in opened:
        book.forget(key)
    journal.erase(
        lambda record: (
            record.policy == policy and (key_of(record) in opened or matches(facts.facts_of(record)))
        )
    )
    sealed = log.delete(lambda e: matches(EpisodeFacts(e.episode_id, e.subject, facts.seconds(e.seal_time))))
    return len(opened) + sealed


def erase_sealed(segment: Path, *, book: Book, journal: Journal) -> None:
    """Deletes the episodes of a sealed segment from the journal."""
    if segment.stat().st_mtime < journal.begun:
        return
    keys = {EpisodeKey(each.policy, each.episode_id, each.agent_id) for each in episodes_of(segment)}
    # open again: an episode with the same id began after the old id was forgotten
    keys.difference_update(book.episodes)
    journal.erase(lambda record: key_of(record) in keys)
