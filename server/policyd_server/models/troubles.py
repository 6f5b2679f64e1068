"""Problems that keep the server from serving what the repository says.

Health, metrics and listings show them. The log has each of them once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass

from policyd.errors import PolicydError
from policyd.repository import Inspection

MAX_RETRY_DELAY = 60.0  # seconds

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadFailure:
    """Why an alias does not serve the version that the repository names."""

    version: int
    message: str
    attempts: int
    retry_at: float  # time.monotonic() at which it is tried again


class Troubles:
    """Failures of aliases, damage of policies, and the problem of the repository as a whole."""

    def __init__(self) -> None:
        self.failures: dict[tuple[str, str], LoadFailure] = {}  # by (policy, alias)
        self.damage: dict[str, tuple[str, ...]] = {}  # by policy: what cannot be read
        self.problem = ""  # why the repository has nothing to serve or cannot be read
        self._noted: dict[str, tuple[str, ...]] = {}  # by policy: what was logged

    def policies(self) -> set[str]:
        """The policies that do not serve what the repository says, or cannot be read."""
        return {policy for policy, _ in self.failures} | self.damage.keys()

    def description(self) -> str:
        """Returns what is wrong with the repository or with a policy; empty: nothing.

        Called from any thread.
        """
        lines = [self.problem] if self.problem else []
        lines += [f"{policy}: {line}" for policy, damage in list(self.damage.items()) for line in damage]
        lines += [
            f"{policy}: {alias} names version {failure.version}: {failure.message}"
            for (policy, alias), failure in list(self.failures.items())
        ]
        return "; ".join(lines)

    def due(self) -> set[str]:
        """Returns the policies whose last failure has to be tried again now."""
        now = time.monotonic()
        return {policy for (policy, _), failure in self.failures.items() if failure.retry_at <= now}

    def waits(self, policy: str, alias: str, version: int) -> bool:
        """Whether this version failed for this alias so recently that it must not be tried yet."""
        failure = self.failures.get((policy, alias))
        return failure is not None and failure.version == version and failure.retry_at > time.monotonic()

    def forget(self, policy: str) -> None:
        """Forgets a policy that was deleted."""
        self.forget_aliases(policy, kept=())
        self.damage.pop(policy, None)
        self._noted.pop(policy, None)

    def forget_aliases(self, policy: str, kept: Collection[str]) -> None:
        """Forgets the failures of a policy's aliases that no longer exist."""
        for key in [key for key in self.failures if key[0] == policy and key[1] not in kept]:
            del self.failures[key]

    def note(self, policy: str, seen: Inspection) -> None:
        """Notes the damage that was found in a policy."""
        if seen.damage:
            self.damage[policy] = seen.damage
        else:
            self.damage.pop(policy, None)
        told = self._noted.get(policy, ())
        for line in seen.damage:
            if line not in told:
                _LOG.error("%s is damaged: %s; the versions in memory go on serving", policy, line)
        for line in seen.notes:
            if line not in told:
                _LOG.warning("%s", line)
        self._noted[policy] = (*seen.damage, *seen.notes)

    def note_problem(self, problem: str, location: str) -> None:
        """Notes what is wrong with the repository as a whole; empty: nothing."""
        if problem and problem != self.problem:
            _LOG.warning("%s; what is in memory is served until the repository can be read", problem)
        elif self.problem and not problem:
            _LOG.info("the repository %s can be read", location)
        self.problem = problem

    def note_exception(self, error: Exception) -> None:
        """Notes an unexpected error of a poll. Called in the handler that caught it."""
        told = f"following the repository failed: {type(error).__name__}: {error}"
        if told != self.problem:  # logged once, not with each poll
            _LOG.exception("following the repository failed; the next poll tries again")
        self.problem = told

    def note_failure(
        self, policy: str, alias: str, version: int, error: PolicydError, kept: int | None
    ) -> None:
        """Notes why an alias's version does not load. `kept`: the version that serves instead."""
        before = self.failures.get((policy, alias))
        attempts = before.attempts + 1 if before is not None and before.version == version else 1
        retry_at = time.monotonic() + min(2.0 ** (attempts - 1), MAX_RETRY_DELAY)
        self.failures[policy, alias] = LoadFailure(version, error.message, attempts, retry_at)
        goes_on = "nothing serves it" if kept is None else f"version {kept} goes on"
        log = _LOG.debug if before is not None and before.message == error.message else _LOG.error
        log("%s: %s names version %d: %s; %s", policy, alias, version, error.message, goes_on)
