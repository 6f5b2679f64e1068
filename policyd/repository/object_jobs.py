"""Which version a job publishes, decided once however many attempts of it there are.

    models/<policy>/jobs/<digest of the job id>     the version's number and its metadata

The decision is stored before the version. An attempt that finds a decision finishes that version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import NamedTuple

from policyd.repository import versions
from policyd.repository.object_client import ObjectClient


class JobDecision(NamedTuple):
    """The number of the version that a job publishes, and its metadata."""

    version: int
    metadata: bytes


class JobDecisions:
    """The decisions in one store."""

    def __init__(self, client: ObjectClient, is_there: Callable[[str, int], bool]) -> None:
        """`is_there`: whether a policy's version has its model; an operator may have deleted it."""
        self._client, self._is_there = client, is_there

    def find(self, policy: str, job_id: str) -> JobDecision | None:
        """Returns the job's decision. None: there is none, or the version's model is gone."""
        found = self._client.get(_key(policy, job_id), versions.MAX_METADATA_BYTES)
        return None if found is None else self._standing(policy, found.content)

    def decide(self, policy: str, job_id: str, mine: JobDecision) -> JobDecision:
        """Decides which version the job publishes.

        Returns `mine`, or the decision of another attempt of the job that was faster.
        """
        chosen = mine

        def choose(before: bytes | None) -> bytes | None:
            nonlocal chosen
            standing = None if before is None else self._standing(policy, before)
            chosen = standing or mine
            return None if standing is not None else _encode(mine)

        self._client.update(_key(policy, job_id), versions.MAX_METADATA_BYTES, choose)
        return chosen

    def _standing(self, policy: str, content: bytes) -> JobDecision | None:
        decision = _decode(content)
        return decision if decision is not None and self._is_there(policy, decision.version) else None


def _key(policy: str, job_id: str) -> str:
    return f"models/{policy}/jobs/{hashlib.sha256(job_id.encode()).hexdigest()[:40]}.json"


def _encode(decision: JobDecision) -> bytes:
    return json.dumps({"version": decision.version, "metadata": decision.metadata.decode()}).encode()


def _decode(content: bytes) -> JobDecision | None:
    """Returns the decision in an object. None: it is damaged, and is ignored."""
    try:
        decision = json.loads(content)
        return JobDecision(int(decision["version"]), str(decision["metadata"]).encode())
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
