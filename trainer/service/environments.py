"""Which environments the service trains on: making one runs its code, and so does importing its module."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import gymnasium

from policy_api.errors import InvalidArgument, PermissionDenied

_OWN = "gymnasium.envs."
# Gymnasium's wrappers that only change numbers; others write files, or open windows.
_WRAPPERS = frozenset(
    f"gymnasium.wrappers:{name}"
    for name in (
        *("AtariPreprocessing", "ClipAction", "ClipReward", "DelayObservation", "DiscretizeAction"),
        *("DiscretizeObservation", "DtypeObservation", "FilterObservation", "FlattenObservation"),
        *("FrameStackObservation", "GrayscaleObservation", "MaxAndSkipObservation", "RepeatAction"),
        *("RescaleAction", "RescaleObservation", "ReshapeObservation", "ResizeObservation", "StickyAction"),
        *("TimeAwareObservation", "TimeLimit"),
    )
)


class AllowList:
    """Patterns of `EnvId`, `module:EnvId` and `module:Wrapper`, as fnmatch reads them.

    No patterns: Gymnasium's own environments. Its wrappers that only change numbers are always allowed.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = tuple(patterns)

    def check(self, env_id: str) -> None:
        """PermissionDenied: not on the list. InvalidArgument: no environment has this name."""
        if not env_id:
            raise InvalidArgument.of("spec.env_id", got="nothing", wanted="an environment")
        if ":" not in env_id:  # a spec with a module would be imported here
            _require_known(env_id)
        if not self._allows(env_id):
            allowed = ", ".join(self._patterns) or "Gymnasium's own environments"
            raise PermissionDenied(
                f"environment {env_id!r} is not on the trainer's allow-list ({allowed})",
                reason="ENV_NOT_ALLOWED",
            )

    def check_wrappers(self, entry_points: Sequence[str]) -> None:
        """PermissionDenied: importing one runs code, so the list decides."""
        for entry_point in entry_points:
            if not (self.is_own_wrapper(entry_point) or self._matches(entry_point)):
                allowed = ", ".join(self._patterns) or "Gymnasium's own that only change numbers"
                raise PermissionDenied(
                    f"wrapper {entry_point!r} is not on the trainer's allow-list ({allowed})",
                    reason="ENV_NOT_ALLOWED",
                )

    @staticmethod
    def is_own_wrapper(entry_point: str) -> bool:
        """Whether it is one of Gymnasium's that only change numbers."""
        return entry_point in _WRAPPERS

    def _matches(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def _allows(self, env_id: str) -> bool:
        if self._patterns:
            return self._matches(env_id)
        return self.is_own(env_id)

    @staticmethod
    def is_own(env_id: str) -> bool:
        """Whether it is one of the environments that Gymnasium brings."""
        return ":" not in env_id and str(gymnasium.registry[env_id].entry_point).startswith(_OWN)


def _require_known(env_id: str) -> None:
    try:
        gymnasium.spec(env_id)
    except gymnasium.error.Error as error:
        raise InvalidArgument.of("spec.env_id", got=repr(env_id), wanted=f"an environment: {error}") from None
