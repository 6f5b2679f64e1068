"""Settings that work, per environment and algorithm, and where each came from.

`general` and `spaces` hold the values; this module finds the row for a run.
"""

from __future__ import annotations

from collections.abc import Mapping

from policyd.errors import InvalidArgument
from policyd_trainer.presets.general import COURSE, DEFAULT, TUNED, Preset
from policyd_trainer.presets.spaces import KINDS, TUNED_CONTINUOUS

NAMES = ("auto", "default", "continuous", "images", "tabular", "course")
ALGORITHMS = ("reinforce", "a2c")

_ROWS: Mapping[tuple[str, str], Preset] = {**TUNED, **TUNED_CONTINUOUS}


def find(env_id: str, algorithm: str, name: object = "auto") -> Mapping[str, object]:
    """The settings of the preset `name`.

    `auto`: the environment's own row, or `default` if it has none (a run then looks at the spaces
    and may take `continuous`, `images` or `tabular`). `default`: for most environments.
    `continuous`: for Box actions. `images`: for images. `tabular`: for numbered states. `course`:
    the course's exact form of the algorithm.

    Raises:
        InvalidArgument: there is no such algorithm or preset.
    """
    if algorithm not in ALGORITHMS:
        raise InvalidArgument.of("algorithm", got=algorithm, wanted=" or ".join(ALGORITHMS))
    if name not in NAMES:
        raise InvalidArgument.of("settings[preset]", got=name, wanted=" or ".join(NAMES))
    return _preset(env_id, algorithm, str(name)).settings


def _preset(env_id: str, algorithm: str, name: str) -> Preset:
    if name == "course":
        return COURSE[algorithm]
    if (name, algorithm) in KINDS:
        return KINDS[name, algorithm]
    if name == "auto":
        return _ROWS.get((env_id, algorithm), DEFAULT[algorithm])
    return DEFAULT[algorithm]


def has_row(env_id: str, algorithm: str) -> bool:
    """Whether the environment has settings of its own."""
    return (env_id, algorithm) in _ROWS
