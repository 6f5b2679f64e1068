"""A job's record in the table, as the contract's TrainingJob."""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from google.protobuf import json_format
from google.protobuf.message import Message

from policy_api.v1.training_pb2 import TrainingFailure, TrainingJob
from policyd.quoting import escaped

_LOG = logging.getLogger(__name__)


def to_job(row: sa.RowMapping) -> TrainingJob:
    """The job that a row holds."""
    job = TrainingJob(
        job_id=row["job_id"],
        request_id=row["request_id"] or "",
        state=row["state"],
        attempts=row["attempts"],
        priority=row["priority"],
        requested_by=row["requested_by"],
    )
    for name in ("spec", "limits", "resources", "progress", "result", "failure"):
        if row[name] is not None:
            _parse(row[name], getattr(job, name), f"{name} of job {job.job_id}")
    for name in ("create_time", "start_time", "end_time"):
        if row[name] is not None:
            getattr(job, name).FromNanoseconds(int(row[name] * 1e9))
    return job


def _parse(text: str, message: Message, what: str) -> None:
    """Fills the message from the text.

    A damaged value does not hide the other jobs: its message keeps what could be read.
    """
    try:
        json_format.Parse(text, message, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        _LOG.error("the jobs' table is damaged: %s cannot be read: %s", what, error)


def to_json(message: Message) -> str:
    """The text that stores a message in a column."""
    return json_format.MessageToJson(message, indent=None, preserving_proto_field_name=True)


def harmless(failure: TrainingFailure) -> TrainingFailure:
    """The failure, safe to show anywhere: its texts are lines without control characters."""
    kept = TrainingFailure(reason=escaped(failure.reason), message=escaped(failure.message))
    kept.log_tail.extend(escaped(line.expandtabs()) for line in failure.log_tail)
    return kept


def columns(**messages: Message | None) -> dict[str, Any]:
    """Column values of those messages that are given."""
    return {name: to_json(message) for name, message in messages.items() if message is not None}
