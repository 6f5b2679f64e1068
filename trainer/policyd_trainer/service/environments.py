"""Which environments the service trains on.

Making one runs its code, and so does importing its module.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import gymnasium

from policyd.errors import InvalidArgument, PermissionDenied

OWN = "gymnasium"  # the pattern that stands for Gymnasium's own environments
_OWN_CODE = "gymnasium.envs."
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

    `gymnasium` stands for Gymnasium's own environments, which are also what no patterns mean. Its
    wrappers that only change numbers are always allowed.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = tuple(patterns) or (OWN,)

    def check(self, env_id: str) -> None:
        """PermissionDenied: not on the list. InvalidArgument: no environment has this name."""
        if not env_id:
            raise InvalidArgument.of("spec.env_id", got="nothing", wanted="an environment")
        if ":" not in env_id:  # a spec with a module would be imported here
            _require_known(env_id)
        if not self._allows(env_id):
            raise PermissionDenied(
                f"environment {env_id!r} is not on the trainer's allow-list ({', '.join(self._patterns)})",
                reason="ENV_NOT_ALLOWED",
            )

    def check_wrappers(self, entry_points: Sequence[str]) -> None:
        """PermissionDenied: importing one runs code, so the list decides."""
        for entry_point in entry_points:
            if not (self.is_own_wrapper(entry_point) or self._matches(entry_point)):
                raise PermissionDenied(
                    f"wrapper {entry_point!r} is not on the trainer's allow-list "
                    f"({', '.join(self._patterns)}), nor one of Gymnasium's that only change numbers",
                    reason="ENV_NOT_ALLOWED",
                )

    @staticmethod
    def is_own_wrapper(entry_point: str) -> bool:
        """Whether it is one of Gymnasium's that only change numbers."""
        return entry_point in _WRAPPERS

    def _matches(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def _allows(self, env_id: str) -> bool:
        return self._matches(env_id) or (OWN in self._patterns and self.is_own(env_id))

    @staticmethod
    def is_own(env_id: str) -> bool:
        """Whether it is one of the environments that Gymnasium brings."""
        return ":" not in env_id and str(gymnasium.registry[env_id].entry_point).startswith(_OWN_CODE)


def _require_known(env_id: str) -> None:
    try:
        gymnasium.spec(env_id)
    except gymnasium.error.Error as error:
        raise InvalidArgument.of("spec.env_id", got=repr(env_id), wanted=f"an environment: {error}") from None
