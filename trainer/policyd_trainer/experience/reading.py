"""From the log of sealed episodes to the episodes of one batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from policyd.experience.sealed import Position, Sealed, read_sealed
from policyd_trainer.experience.held_out import is_held_out
from policyd_trainer.experience.rules import Rules
from policyd_trainer.experience.selection import Candidate, Dropped, within_shares
from policyd_trainer.experience.sequences import sequence_of
from policyd_trainer.experience.spaces import Spaces


class EpisodeReader:
    """Collects a batch of episodes over several reads of the log."""

    def __init__(self, log: Path, position: Position, spaces: Spaces, held_out: float = 0.0) -> None:
        """`log` is the folder of the policy's sealed episodes. Reads from `position` on.

        `held_out` is the share of the episodes that are kept apart.
        """
        self._log, self._spaces, self._held_out = log, spaces, held_out
        self.position = position
        self._found: list[Candidate] = []
        self._dropped = Dropped()

    @property
    def steps(self) -> int:
        """How many steps there are to learn from so far."""
        return sum(len(candidate.sequence) for candidate in self._found)

    def look(self, wanted: int, rules: Rules, age: Callable[[int], int]) -> None:
        """Reads what the log has now, until there are `wanted` steps."""
        steps = self.steps
        if steps >= wanted:
            return
        for sealed in read_sealed(self._log, self.position):
            self.position = sealed.after
            candidate = self._candidate(sealed, rules, age)
            if candidate is not None:
                self._found.append(candidate)
                steps += len(candidate.sequence)
            if steps >= wanted:
                break

    def count(self, dropped: Dropped) -> None:
        """Counts in `dropped` what it has dropped since the last call."""
        dropped.merge(self._dropped)
        self._dropped = Dropped()

    def take(self, rules: Rules, dropped: Dropped) -> list[Candidate]:
        """The batch, within the share of each caller and subject.

        Counts what it drops in `dropped`.
        """
        self.count(dropped)
        found, self._found = self._found, []
        return within_shares(found, rules.max_caller_share, rules.max_subject_share, dropped)

    def _candidate(self, sealed: Sealed, rules: Rules, age: Callable[[int], int]) -> Candidate | None:
        """The episode's steps to learn from. None if it is dropped, which is counted."""
        episode, reason = sealed.episode, ""
        if not sealed.observed:
            reason = "FORGOTTEN"
        elif is_held_out(episode.episode_id, self._held_out):
            reason = "HELD_OUT"
        else:
            try:
                sequence = sequence_of(episode, self._spaces.encoder, self._spaces.codec)
            except ValueError:
                reason = "OTHER_SPACE"
            else:
                if sequence is None:
                    reason = "NO_PREFIX"
                elif age(int(sequence.versions.min())) > rules.max_version_lag:
                    reason = "TOO_OLD"
                else:
                    return Candidate(sequence, episode.caller, episode.subject)
        self._dropped.add(reason, len(episode.steps))
        return None
