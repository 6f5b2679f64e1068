"""What decides whether an episode is deleted, and the times of records."""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from policy_api.v1 import experience_pb2 as pb


class EpisodeFacts(NamedTuple):
    """What decides whether an episode is deleted."""

    episode_id: str
    subject: str
    changed: float  # seconds since the epoch; of a sealed episode: when it was sealed


def facts_of(record: pb.DecisionRecord | pb.OutcomeRecord) -> EpisodeFacts:
    """What a record of the journal says about its episode. An outcome names no subject."""
    if isinstance(record, pb.OutcomeRecord):
        return EpisodeFacts(record.outcome.episode_id, "", seconds(record.report_time))
    return EpisodeFacts(record.episode_id, record.subject, seconds(record.step.decide_time))


def seconds(stamp: Timestamp) -> float:
    """Since the epoch."""
    return stamp.ToNanoseconds() / 1e9


def now() -> Timestamp:
    """The time."""
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp
