"""What Gymnasium's contract wants `reset` and `step` to return.

What is something else is refused by name.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np

from policyd_trainer.environments.errors import EnvironmentFailed

_PORT = "see https://gymnasium.farama.org/introduction/migration_guide"
_NUMBERS = (bool, int, float, np.bool_, np.number)


def reset_result(answer: Any) -> tuple[Any, Mapping[str, Any]]:
    """Checks what `reset` returned: (observation, info).

    Raises:
        EnvironmentFailed: it is something else.
    """
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping):
        return answer
    raise EnvironmentFailed(
        f"reset returned {_shape_of(answer)}, expected (observation, info). Gym before version 0.26 returned "
        f"the observation alone: return (observation, {{}}), {_PORT}"
    )


def step_result(answer: Any) -> tuple[Any, float, bool, bool, Mapping[str, Any]]:
    """Checks what `step` returned: (observation, reward, terminated, truncated, info).

    Raises:
        EnvironmentFailed: it is something else.
    """
    if not isinstance(answer, tuple) or len(answer) != 5:
        raise EnvironmentFailed(
            f"step returned {_shape_of(answer)}, expected (observation, reward, terminated, truncated, "
            "info). Gym before version 0.26 returned four values: split `done` into terminated and "
            f"truncated, {_PORT}"
        )
    observation, reward, terminated, truncated, info = answer
    return observation, number(reward), flag(terminated, "terminated"), flag(truncated, "truncated"), info


def number(reward: Any) -> float:
    """The reward as a number.

    Raises:
        EnvironmentFailed: it is not one number.
    """
    if isinstance(reward, _NUMBERS):
        return float(reward)
    try:
        array = np.asarray(reward, np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.size == 1:
        return float(array.reshape(-1)[0])
    raise EnvironmentFailed(
        f"step returned the reward {_short(reward)}, expected one number. Combine the rewards of several "
        "objectives or agents into one, for example in a gymnasium.RewardWrapper"
    )


def flag(value: Any, name: str) -> bool:
    """`terminated` or `truncated` as a bool.

    Raises:
        EnvironmentFailed: it is not one value, but for example one per agent.
    """
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return bool(value)
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "biuf":
        return bool(array.reshape(-1)[0])
    raise EnvironmentFailed(f"step returned {name}={_short(value)}, expected True or False")


def explained(error: Exception) -> str:
    """An exception in words.

    With an old environment, Gymnasium's own wrappers raise before this module sees the result, so
    the text explains their errors too.
    """
    text = f"failed with {type(error).__name__}: {_short(error, 500)}"
    if isinstance(error, ValueError) and "unpack (expected" in str(error):
        text += (
            ". Does it return what Gym before version 0.26 did? reset returns (observation, info), step "
            f"(observation, reward, terminated, truncated, info), {_PORT}"
        )
    elif line := _gymnasiums_line(error):
        text += f" (in Gymnasium's `{line}`)"
    return text


def _gymnasiums_line(error: Exception) -> str:
    """The line of Gymnasium's code that failed because of the environment.

    Empty if other code failed, or if the line is a `raise`: its error already says what it found.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or "/gymnasium/" not in frames[-1].filename.replace("\\", "/"):
        return ""
    line = (frames[-1].line or "").partition("  #")[0]
    return "" if line.startswith(("raise ", "return")) else line


def _shape_of(answer: Any) -> str:
    if isinstance(answer, tuple):
        return f"a tuple of {len(answer)}"
    return f"{type(answer).__name__}"


def _short(value: Any, length: int = 100) -> str:
    text = str(value) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= length else text[:length] + "..."
