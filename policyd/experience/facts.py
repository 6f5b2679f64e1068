"""What decides whether an episode is deleted, and the times of records."""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from policy_api.v1 import experience_pb2 as pb


class EpisodeFacts(NamedTuple):
    """The properties of an episode that decide whether it is deleted."""

    episode_id: str
    subject: str
    changed: float  # seconds since the epoch; when a sealed episode was sealed


def facts_of(record: pb.DecisionRecord | pb.OutcomeRecord) -> EpisodeFacts:
    """Returns the facts in a record of the journal. A record of an outcome has no subject."""
    if isinstance(record, pb.OutcomeRecord):
        return EpisodeFacts(record.outcome.episode_id, "", seconds(record.report_time))
    return EpisodeFacts(record.episode_id, record.subject, seconds(record.step.decide_time))


def seconds(stamp: Timestamp) -> float:
    """Returns the seconds since the epoch."""
    return stamp.ToNanoseconds() / 1e9


def now() -> Timestamp:
    """Returns the current time."""
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp
