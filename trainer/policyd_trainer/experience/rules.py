"""What the policy's ExperienceConfig says about learning. The server's file is the only truth."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.configs import VERSION_LAG, ExperienceConfigs
from policyd.repository import AliasState

#: A configuration's file is read again after so many seconds.
SECONDS = 1.0


@dataclass(frozen=True)
class Rules:
    """The rules for one batch."""

    may_learn: bool  # whether the mode is LEARN
    max_version_lag: int  # an episode with an older decision is dropped, in versions
    max_caller_share: float  # of a batch's steps; 0: no limit
    max_subject_share: float

    @classmethod
    def of(cls, config: pb.ExperienceConfig) -> Rules:
        """The rules of a configuration."""
        return cls(
            config.mode == pb.ExperienceConfig.LEARN,
            config.max_version_lag or VERSION_LAG,
            config.max_caller_share,
            config.max_subject_share,
        )


class PolicyRules:
    """The rules as they are now, at most SECONDS old."""

    def __init__(self, root: Path, policy: str) -> None:
        self._configs, self._policy = ExperienceConfigs(root), policy
        self._read_at, self._rules = float("-inf"), Rules.of(pb.ExperienceConfig())

    @property
    def now(self) -> Rules:
        """The rules now. Raises CorruptArtifact if the configuration's file is damaged."""
        if time.monotonic() - self._read_at > SECONDS:
            self._rules = Rules.of(self._configs.read(self._policy).config)
            self._read_at = time.monotonic()
        return self._rules


def ages(state: AliasState, alias: str) -> Callable[[int], int]:
    """Returns a function that gives the age of a version.

    The age is how many versions the alias has named since. Versions that the gate refused have
    never acted, so they do not count.
    """
    current = state.aliases.get(alias, 0)
    named = sorted({change.version for change in state.history_of(alias) if change.version <= current})
    return lambda version: sum(version < other for other in named)
