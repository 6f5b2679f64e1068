"""The recorder: the one writer of a folder of experience.

It knows files, and neither sockets nor gRPC.

    <root>/journal/             decisions and outcomes of open episodes
    <root>/episodes/<policy>/   sealed episodes

`decide` and `report` queue; `commit` makes the outcomes durable, and only then may they be
acknowledged. A recorder that starts finds what an earlier one left, whatever byte that one died at.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from policy_api.v1 import experience_pb2 as pb
from policyd.experience import facts
from policyd.experience.book import Book, EpisodeKey, OpenEpisode, Place, Verdict, sealed_episode
from policyd.experience.deletion import delete_episodes, erase_sealed
from policyd.experience.disk_space import DiskSpace
from policyd.experience.facts import EpisodeFacts
from policyd.experience.journal import Journal, key_of
from policyd.experience.recovery import recovered
from policyd.experience.report import Report, description
from policyd.experience.sealed import SealedLog
from policyd.repository.durable import locked, make_directory

#: At most this many episodes are open, of all policies together. Each takes 1 kB of memory, and
#: more with its steps.
MOST_OPEN = 1_000_000
#: At most this many silent episodes are sealed at once. Calls wait meanwhile, about 0.1 s.
CLOCK_STEP_SECONDS = 1.0  # a clock that goes further than time does has been set
SEALED_AT_ONCE = 1_000


#: The type of policyd_server.compiled.index.take.
Index = Callable[
    [bytes | memoryview, Book, Place, Callable[[str], bool], float], tuple[bytes, dict[str, int]]
]


class Recorder:
    """Records decisions and outcomes. One thread uses it.

    It holds a lock on its folder, so that the folder has one writer.
    """

    def __init__(self, root: Path) -> None:
        make_directory(root)
        self.root = root
        self._lock = locked(root / "lock")
        self._lock.__enter__()
        self._journal = Journal(root / "journal")
        self._logs: dict[str, SealedLog] = {}
        self._changed: set[EpisodeKey] = set()  # episodes with outcomes that are not yet durable
        self._queued: Counter[str] = Counter()  # decisions since the last commit, by policy
        self.lost: Counter[str] = Counter()  # decisions that did not fit on a full disk, by policy
        # decisions dropped because too many episodes were open, by policy
        self.overflowed: Counter[str] = Counter()
        # decisions left out because their episode was too long for one record, by policy
        self.left_out: Counter[str] = Counter()
        self._disk = DiskSpace(root, self._journal.has_room)
        self._unsealed = False  # whether complete episodes wait for room on the disk
        self._offset = time.time() - time.monotonic()
        self.book = recovered(self._journal, self.log)
        self._seal_recovered()

    def decide(
        self, record: pb.DecisionRecord, payload: bytes | None = None, now: float | None = None
    ) -> bool:
        """Takes a decision. False: it was not taken.

        `payload`: the serialised record. `now`: time.time(). Both may be left out.
        """
        if self._disk.is_full():
            self.lost[record.policy] += 1
            return False
        self._queued[record.policy] += 1
        place = self._journal.decision(payload or record.SerializeToString())
        at = time.time() if now is None else now
        return self.book.decide(key_of(record), record.step.step, place, record.subject, record.caller, at)

    def take(self, body: bytes | memoryview, index: Index, is_recorded: Callable[[str], bool]) -> None:
        """Takes the decisions of one message together, with the same result as `decide` for each.

        `index` does it in compiled code. ValueError: the message is damaged, and nothing of it was
        taken.
        """
        framed, counts = index(body, self.book, self._journal.place, is_recorded, time.time())
        self._journal.framed(framed)
        self._queued.update(counts)

    def report(self, policy: str, caller: str, outcomes: Sequence[pb.Outcome]) -> Report:
        """Takes outcomes. They count as recorded once `commit` has returned.

        Exhausted: the disk is full.
        """
        if self._disk.is_full():
            raise self._disk.error("there is no room")
        report, now = Report(), time.time()
        for index, outcome in enumerate(outcomes):
            key = EpisodeKey(policy, outcome.episode_id, outcome.agent_id)
            verdict = self.book.judge(key, outcome)
            if verdict is Verdict.RECORDED:
                record = pb.OutcomeRecord(
                    policy=policy, caller=caller, outcome=outcome, report_time=facts.now()
                )
                place = self._journal.outcome(record)
                self.book.report(key, outcome, place.segment, now)
                self._changed.add(key)
            report.add(index, verdict, description(self.book, key, outcome, verdict))
        return report

    def commit(self) -> None:
        """Makes everything that was taken durable, then seals the complete episodes.

        Exhausted: the disk is full. The queued records are dropped, and the book is read again from
        the disk.
        """
        try:
            self._journal.commit(durable=bool(self._changed))
        except OSError as error:
            self._disk.note_full()
            self.lost.update(self._queued)
            self._start_over()
            raise self._disk.error(error.strerror or "it failed") from error
        complete = [self.book.episodes[key] for key in self._changed if self._is_complete(key)]
        self._changed.clear()
        self._queued.clear()
        self.seal(complete)

    def seal(self, episodes: Sequence[OpenEpisode]) -> int:
        """Writes episodes to the log of their policy and closes them; returns how many.

        If the disk is full, they stay open, and the journal keeps them.
        """
        by_policy: dict[str, list[OpenEpisode]] = {}
        for episode in episodes:
            by_policy.setdefault(episode.key.policy, []).append(episode)
        sealed = sum(len(each) for policy, each in by_policy.items() if self._sealed(policy, each))
        if sealed and self._journal.segments > 1:
            self._journal.release(self.book.segments)
        return sealed

    def seal_complete(self) -> None:
        """Seals the complete episodes for which a full disk had no room."""
        if self._unsealed and not self._disk.is_full():
            self._unsealed = False
            self.seal([episode for episode in self.book.episodes.values() if episode.complete])

    def _sealed(self, policy: str, episodes: Sequence[OpenEpisode]) -> bool:
        """Seals the episodes of one policy, all or none. False: the disk is full."""
        left_out = 0
        for episode in episodes:
            whole = sealed_episode(episode, self._journal.decisions(episode))
            whole.seal_time.CopyFrom(facts.now())
            left_out += self.log(policy).append(whole)
        try:
            self.log(policy).commit()
        except OSError:
            self._disk.note_full()
            self._unsealed = True
            return False
        self.left_out[policy] += left_out
        for episode in episodes:
            self.book.seal(episode.key)
        return True

    @property
    def is_full(self) -> bool:
        """Whether the disk was full when it was last tried; tries again every FULL_SECONDS."""
        return self._disk.is_full()

    def delete(self, policy: str, matches: Callable[[EpisodeFacts], bool]) -> int:
        """Deletes the policy's episodes, open and sealed, for which `matches` is true.

        Returns how many. After that, no file holds their bytes.
        """
        log = self.log(policy)
        return delete_episodes(policy, matches, book=self.book, journal=self._journal, log=log)

    def expire(self, policy: str, max_age: float) -> int:
        """Deletes segments of sealed episodes that were last written to over `max_age` seconds ago.

        Returns how many. It also deletes their episodes from the journal. Otherwise a recorder that
        starts would take them for open episodes and seal them again.
        """
        erase = partial(erase_sealed, book=self.book, journal=self._journal)
        return self.log(policy).expire(max_age, erase)

    def seal_silent(self, policy: str, silence: float) -> int:
        """Seals the policy's episodes in which nothing happened for `silence` seconds.

        Returns how many: at most SEALED_AT_ONCE, and the rest with the next call.
        """
        now = time.time()
        self._follow_clock(now)
        episodes = self.book.silent(policy, now - silence)
        return self.seal(episodes[:SEALED_AT_ONCE])

    def _follow_clock(self, now: float) -> None:
        """Moves the open episodes' times with a clock that was set.

        Otherwise a step forward would look like silence, and a step back would hide it. In doubt an
        episode counts as less silent. `now`: time.time().
        """
        offset = now - time.monotonic()
        step, self._offset = offset - self._offset, offset
        if abs(step) < CLOCK_STEP_SECONDS:
            return
        for episode in self.book.episodes.values():
            if episode.changed <= now - step if step > 0 else episode.changed > now:
                episode.changed += step

    def drop_surplus(self) -> None:
        """Closes the longest silent episodes if more than MOST_OPEN are open, and a tenth more.

        Episodes without an outcome are dropped and counted: nothing of them was acknowledged. The
        others are sealed, at most SEALED_AT_ONCE of them.
        """
        surplus = len(self.book.episodes) - MOST_OPEN
        if surplus <= 0:
            return
        wanted = surplus + MOST_OPEN // 10
        silent = heapq.nsmallest(wanted, self.book.episodes.values(), key=lambda episode: episode.changed)
        for episode in silent:
            if not episode.parts:
                self.overflowed[episode.key.policy] += len(episode.places)
                self.book.forget(episode.key)
        self.seal([episode for episode in silent if episode.parts][:SEALED_AT_ONCE])
        self._journal.release(self.book.segments)

    @property
    def journal_bytes(self) -> int:
        """Bytes of the journal."""
        return self._journal.disk_bytes

    def close(self) -> None:
        """Makes everything durable and releases the folder.

        The next recorder continues the open episodes.
        """
        self._journal.close()
        for log in self._logs.values():
            log.close()
        self._lock.__exit__(None, None, None)

    def _is_complete(self, key: EpisodeKey) -> bool:
        episode = self.book.episodes.get(key)
        return episode is not None and episode.complete

    def log(self, policy: str) -> SealedLog:
        """Returns the log of the policy's sealed episodes."""
        if policy not in self._logs:
            self._logs[policy] = SealedLog(self.root / "episodes" / policy)
        return self._logs[policy]

    def _start_over(self) -> None:
        self._changed.clear()
        self._queued.clear()
        self.book = recovered(self._journal, self.log)
        self._seal_recovered()

    def _seal_recovered(self) -> None:
        """Seals complete episodes, and deletes the journal's segments that are no longer needed."""
        self.seal([episode for episode in self.book.episodes.values() if episode.complete])
        self._journal.release(self.book.segments)
