"""Settings that work, per environment and algorithm, and where each came from.

`table` holds the values; this module finds the row for a run.
"""

from __future__ import annotations

from collections.abc import Mapping

from policy_api.errors import InvalidArgument
from trainer.presets.table import COURSE, DEFAULT, TUNED, Preset

NAMES = ("auto", "default", "course")
ALGORITHMS = ("reinforce", "a2c")


def find(env_id: str, algorithm: str, name: object = "auto") -> Mapping[str, object]:
    """The settings of a preset, by name.

    `auto`: the environment's own row, or `default` where it has none. `default`: what works in
    practice for most environments. `course`: the course's exact form of the algorithm.

    Raises:
        InvalidArgument: no such algorithm or preset.
    """
    if algorithm not in ALGORITHMS:
        raise InvalidArgument.of("algorithm", got=algorithm, wanted=" or ".join(ALGORITHMS))
    if name not in NAMES:
        raise InvalidArgument.of("settings[preset]", got=name, wanted=" or ".join(NAMES))
    return _preset(env_id, algorithm, str(name)).settings


def _preset(env_id: str, algorithm: str, name: str) -> Preset:
    if name == "course":
        return COURSE[algorithm]
    if name == "auto":
        return TUNED.get((env_id, algorithm), DEFAULT[algorithm])
    return DEFAULT[algorithm]
