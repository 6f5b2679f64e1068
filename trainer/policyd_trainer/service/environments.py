"""Which environments the service trains on.

Making one runs its code, and so does importing its module.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import gymnasium

from policyd.errors import InvalidArgument, PermissionDenied

OWN = "gymnasium"  # the pattern for Gymnasium's own environments
_OWN_CODE = "gymnasium.envs."
# Gymnasium's wrappers that only change numbers. Other wrappers write files or open windows.
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
    """Patterns of `EnvId`, `module:EnvId` and `module:Wrapper`, in the syntax of fnmatch.

    The pattern `gymnasium` means Gymnasium's own environments. An empty list means the same.
    Gymnasium's wrappers that only change numbers are always allowed.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = tuple(patterns) or (OWN,)

    def check(self, env_id: str) -> None:
        """Checks an environment.

        Raises:
            PermissionDenied: it is not on the list.
            InvalidArgument: no environment has this name.
        """
        if not env_id:
            raise InvalidArgument.of("spec.env_id", got="nothing", wanted="an environment")
        if ":" not in env_id:  # gymnasium.spec would import the module of others
            _require_known(env_id)
        if not self._allows(env_id):
            raise PermissionDenied(
                f"environment {env_id!r} is not on the trainer's allow-list ({', '.join(self._patterns)})",
                reason="ENV_NOT_ALLOWED",
            )

    def check_wrappers(self, entry_points: Sequence[str]) -> None:
        """Checks wrappers. Importing one runs its code, so the list decides about them, too.

        Raises:
            PermissionDenied: a wrapper is not on the list.
        """
        for entry_point in entry_points:
            if not (self.is_own_wrapper(entry_point) or self._matches(entry_point)):
                raise PermissionDenied(
                    f"wrapper {entry_point!r} is not on the trainer's allow-list "
                    f"({', '.join(self._patterns)}), nor one of Gymnasium's that only change numbers",
                    reason="ENV_NOT_ALLOWED",
                )

    @staticmethod
    def is_own_wrapper(entry_point: str) -> bool:
        """Whether it is one of Gymnasium's wrappers that only change numbers."""
        return entry_point in _WRAPPERS

    def _matches(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def _allows(self, env_id: str) -> bool:
        return self._matches(env_id) or (OWN in self._patterns and self.is_own(env_id))

    @staticmethod
    def is_own(env_id: str) -> bool:
        """Whether it is one of Gymnasium's own environments."""
        return ":" not in env_id and str(gymnasium.registry[env_id].entry_point).startswith(_OWN_CODE)


def _require_known(env_id: str) -> None:
    try:
        gymnasium.spec(env_id)
    except gymnasium.error.Error as error:
        raise InvalidArgument.of("spec.env_id", got=repr(env_id), wanted=f"an environment: {error}") from None
