"""What happened to the outcomes of one request, as a message of the contract."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.book import Book, EpisodeKey, Verdict

#: At most this many problems of one kind are listed in a response.
LISTED = 100


@dataclass
class Report:
    """What happened to the outcomes of one request."""

    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    problems: dict[Verdict, list[pb.OutcomeProblem]] = field(default_factory=dict)

    def add(self, index: int, verdict: Verdict, description: str) -> None:
        """Counts one outcome, and lists it if there is a problem with it."""
        self.counts[verdict] += 1
        if verdict in (Verdict.CONFLICT, Verdict.UNKNOWN):
            listed = self.problems.setdefault(verdict, [])
            if len(listed) < LISTED:
                listed.append(pb.OutcomeProblem(index=index, description=description))

    def message(self) -> pb.ReportOutcomesResponse:
        """Returns the response to the client."""
        return pb.ReportOutcomesResponse(
            recorded=self.counts[Verdict.RECORDED],
            repeated=self.counts[Verdict.REPEATED],
            too_late=self.counts[Verdict.TOO_LATE],
            conflicts=self.problems.get(Verdict.CONFLICT, ()),
            unknown=self.problems.get(Verdict.UNKNOWN, ()),
            conflict_count=self.counts[Verdict.CONFLICT],
            unknown_count=self.counts[Verdict.UNKNOWN],
        )


def description(book: Book, key: EpisodeKey, outcome: pb.Outcome, verdict: Verdict) -> str:
    """Returns what is wrong with an outcome; empty: nothing."""
    where = f"episode {key.episode_id[:64]!r}, agent {key.agent_id[:64]!r}, step {outcome.step}"
    if verdict is Verdict.UNKNOWN:
        return f"{where}: no such decision was recorded"
    if verdict is Verdict.CONFLICT:
        known = book.episodes[key].parts[outcome.step][outcome.part]
        return f"{where}: got reward {outcome.reward:g}, known is {known.reward:g}"
    return ""
