"""The open episodes that an earlier recorder left in its journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from policy_api.v1 import experience_pb2 as pb
from policyd.experience import facts
from policyd.experience.book import Book, EpisodeKey
from policyd.experience.journal import Entry, Journal, key_of
from policyd.experience.sealed import SealedLog


def recovered(journal: Journal, log_of: Callable[[str], SealedLog]) -> Book:
    """Returns the open episodes of the journal; `log_of` gives a policy's sealed episodes.

    A sealed episode that is still in the journal is not opened again. The journal is read twice,
    because it may be larger than the memory.
    """
    keys = {key_of(entry.record) for entry in journal.entries()}
    sealed = dict.fromkeys(_sealed_of(keys, journal.begun, log_of))
    book, now = Book(), time.time()
    for key in sealed:
        book.seal(key)
    for entry in journal.entries():
        if key_of(entry.record) not in sealed:  # the book remembers only the newest keys
            _put_back(book, entry, now)
    return book


def _put_back(book: Book, entry: Entry, now: float) -> None:
    """Adds one record of the journal to the book."""
    key, record = key_of(entry.record), entry.record
    if isinstance(record, pb.OutcomeRecord):
        book.report(key, record.outcome, entry.place.segment, now)
    elif book.decide(key, record.step.step, entry.place, record.subject, record.caller, now):
        opened = book.episodes[key]
        opened.began = min(opened.began, facts.seconds(record.step.decide_time))


def _sealed_of(
    keys: Iterable[EpisodeKey], since: float, log_of: Callable[[str], SealedLog]
) -> list[EpisodeKey]:
    """Returns the episodes of the journal that are also in the log, oldest first."""
    wanted = set(keys)
    found: dict[EpisodeKey, None] = {}
    for policy in {key.policy for key in wanted}:
        for episode in log_of(policy).since(since):
            key = EpisodeKey(policy, episode.episode_id, episode.agent_id)
            if key in wanted:
                found[key] = None
    return list(found)
