"""A version's report.html: what is added to it after it was drawn."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from policy_api.v1.traffic_pb2 import Canary
from policyd.repository.canary_section import with_canary
from policyd.repository.durable import locked_meanwhile
from policyd.repository.records import PublishedVersion
from policyd.repository.store import ModelRepository

REPORT = "report.html"


@contextmanager
def report_locked(repository: ModelRepository, published: PublishedVersion) -> Iterator[None]:
    """Makes sure that no other process of this machine changes the version's report meanwhile.

    Two machines may draw a report at the same time, but they draw the same one.
    """
    place = hashlib.sha256(f"{repository.location}/{published.path}".encode()).hexdigest()[:32]
    with locked_meanwhile(Path(tempfile.gettempdir()) / f"policyd-report-{place}.lock"):
        yield


def has_ended(canary: Canary) -> bool:
    """Whether there was a canary and it has ended."""
    return canary.state not in (Canary.STATE_UNSPECIFIED, Canary.RUNNING)


def with_last_canary(repository: ModelRepository, published: PublishedVersion, html: bytes) -> bytes:
    """Returns a new report, with the policy's last canary if that was of this version."""
    canary = repository.traffic(published.policy).canary
    if canary.version != published.version or not has_ended(canary):
        return html
    return with_canary(html.decode(), canary).encode()


def add_canary(repository: ModelRepository, policy: str, canary: Canary) -> None:
    """Adds the canary's course to the report of its version.

    Does nothing if the version has no report yet: the process that draws the report adds it then.
    Raises PolicydError if the version or its report cannot be read or written.
    """
    published = repository.read(policy, canary.version)
    with report_locked(repository, published):
        if REPORT in published.files or REPORT not in repository.added_files(published):
            return
        html = repository.read_added(published, REPORT).decode()
        if (told := with_canary(html, canary)) != html:
            repository.add_files(policy, canary.version, {REPORT: told.encode()})
