"""Environments with habits that real ones have, registered on import.

The task: name the one of three.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces

Result = tuple[Any, ...]


class Naming(gym.Env[Any, Any]):
    """Ten steps, each with a one-hot observation of 3 and reward 1 for naming its index."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  Gymnasium's own form

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space: Any = spaces.Box(-1.0, 2.0, (3,), np.float32)
        self.action_space: Any = spaces.Discrete(3)

    def observe(self) -> Any:
        """The next observation."""
        self.target = int(self.np_random.integers(3))
        return np.eye(3, dtype=np.float32)[self.target]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Result:
        """Starts an episode."""
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action: Any) -> Result:
        """Rewards a right action."""
        reward = float(action == self.target)
        self.t += 1
        return self.observe(), reward, self.t >= 10, False, {}

    def render(self) -> Any:
        """A black picture."""
        return np.zeros((32, 32, 3), np.uint8)


def _c_exit() -> None:
    ctypes.CDLL(None).exit(0)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _odd_text() -> None:
    raise ValueError("\udcff" + "x" * 10**6)


ENDS: dict[str, Any] = {
    "sys.exit": sys.exit,
    "interrupt": _interrupt,
    "odd text": _odd_text,
    "os._exit": lambda: os._exit(0),
    "exit in C": _c_exit,
    "segfault": lambda: ctypes.string_at(0),
}


class Ends(Naming):
    """Ends the process in one way, in one call."""

    def __init__(self, way: str, call: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self._way, self._call = way, call
        self._end_in("constructor")

    def _end_in(self, call: str) -> None:
        if call == self._call:
            ENDS[self._way]()

    def reset(self, **options: Any) -> Result:
        """Resets, or ends the process."""
        self._end_in("reset")
        return super().reset(**options)

    def step(self, action: Any) -> Result:
        """Steps, or ends the process."""
        if self.t == 5:
            self._end_in("step")
        return super().step(action)

    def render(self) -> Any:
        """Renders, or ends the process."""
        self._end_in("render")
        return super().render()

    def close(self) -> None:
        """Does nothing, or ends the process."""
        self._end_in("close")


class Talks(Naming):
    """Prints like a JSON logger, with half lines. Leaves processes and threads that never end."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        sys.stdout.write('{"progress": {"fraction": 7}}\nwithout a line end')
        sys.stdout.flush()
        os.write(1, b'{"result": {"version": 99}}\n')
        atexit.register(lambda: os.write(1, b'\n{"event": "closed"}\n'))
        subprocess.Popen(["sleep", "600"], start_new_session=True, env={})
        threading.Thread(target=lambda: time.sleep(1e6)).start()


class Meddles(Naming):
    """Changes settings of the whole process."""

    def __init__(self, render_mode: str | None = None) -> None:
        import torch  # noqa: PLC0415  the import takes seconds, and only this class needs it

        super().__init__(render_mode)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        np.seterr(all="raise")

    def step(self, action: Any) -> Result:
        """Closes the standard streams, changes folder and umask, and lowers the recursion limit."""
        os.chdir("/")
        os.umask(0o777)
        sys.setrecursionlimit(200)
        sys.stdout.close()
        sys.stderr.close()
        return super().step(action)


class CloseFails(Naming):
    """`close` raises, hangs or exits."""

    def __init__(self, way: str = "raise", render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self._way = way

    def close(self) -> None:
        """Raises, hangs or exits, as set."""
        if self._way == "hang":
            time.sleep(1000)
        elif self._way == "exit":
            sys.exit(0)
        raise RuntimeError("the display is gone")


class FreedForEver(Naming):
    """Has a finalizer that does not end: `__del__`, or one of weakref."""

    def __init__(self, way: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self._way = way
        if way == "finalize":
            weakref.finalize(self, time.sleep, 1000)

    def __del__(self) -> None:
        while self._way == "spin":
            pass


def _forget_importing() -> None:
    sys.path.clear()
    sys.meta_path.clear()


def _refuse_to_open(event: str, _: Any) -> None:
    if event == "open":
        raise RuntimeError("nothing is opened here")


class Changes(Naming):
    """Changes the process in one of these ways in a step."""

    ways: dict[str, Callable[[], Any]] = {  # noqa: RUF012  a table of the class
        "path": _forget_importing,
        "modules": sys.modules.clear,
        "descriptors": lambda: os.closerange(0, 1024),
        "hook": lambda: sys.addaudithook(_refuse_to_open),
        "files": lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        ),
        "fork": os.fork,
        "open": lambda: setattr(builtins, "open", None),
        "rng": lambda: vars(np.random).pop("default_rng", None),
    }

    def __init__(self, way: str, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self._way = way

    def step(self, action: Any) -> Result:
        """Steps in a changed process."""
        self.ways[self._way]()
        return super().step(action)


class Answers(Naming):
    """Breaks Gymnasium's contract with what it returns."""

    def __init__(self, kind: str, render_mode: str | None = None) -> None:
        self._kind = kind
        if kind == "type error":
            len(5)  # type: ignore[arg-type]
        super().__init__(render_mode)

    def reset(self, **options: Any) -> Any:
        """Returns only the observation, like Gym before 0.26, or a mask that allows nothing."""
        observation, info = super().reset(**options)
        if self._kind == "empty mask":
            return observation, {"action_mask": np.zeros(3, np.int8)}
        return observation if self._kind == "old reset" else (observation, info)

    def step(self, action: Any) -> Any:
        """Returns four values, or rewards or ends of several agents."""
        observation, reward, terminated, truncated, info = super().step(action)
        return {
            "old step": (observation, reward, terminated, info),
            "rewards": (observation, np.array([reward, 0.0]), terminated, truncated, info),
            "agents": (observation, {"a": reward}, {"a": terminated}, {"a": truncated}, info),
            "ends": (observation, reward, {"a": terminated}, truncated, info),
        }.get(self._kind, (observation, reward, terminated, truncated, info))


class Particular(Naming):
    """Takes only np.int64 actions, and only seeds that a C int can hold.

    Its numbers are arrays with one element.
    """

    def reset(self, *, seed: int | None = None, options: Any = None) -> Result:
        """Refuses a seed that is too large."""
        ctypes.c_int32(seed or 0)
        if not 0 <= (seed or 0) < 2**31:
            raise OverflowError(f"the seed {seed} is no int")
        return super().reset(seed=seed)

    def step(self, action: Any) -> Result:
        """Uses methods that only numpy's integers have."""
        observation, reward, terminated, truncated, info = super().step(action.item())
        return observation, np.array([reward]), np.array(terminated), np.bool_(truncated), info


class MasksByMethod(Naming):
    """Its method `action_masks()` allows only the right action."""

    def action_masks(self) -> Any:
        """The method that stable-baselines3's masked PPO calls."""
        return np.arange(3) == self.target


class MasksInside(Naming):
    """Has the mask in its Dict observation, like RLlib's and PettingZoo's environments."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        mask = spaces.Box(0, 1, (3,), np.int8)
        self.observation_space = spaces.Dict({"action_mask": mask, "seen": self.observation_space})

    def observe(self) -> Any:
        """The observation and its right action."""
        seen = super().observe()
        return {"action_mask": seen.astype(np.int8), "seen": seen}


class OneInstance(Naming):
    """Only one can exist at a time, like a simulator on a fixed port."""

    living = 0

    def __init__(self, render_mode: str | None = None, *, names_by_number: bool = False) -> None:
        super().__init__(render_mode)
        if names_by_number:
            self.action_space = spaces.Box(0.0, 2.0, (), np.float32)
        if OneInstance.living:
            raise RuntimeError("port 5005 is taken: another instance is running")
        OneInstance.living += 1

    def close(self) -> None:
        """Frees the port."""
        OneInstance.living = 0


class OnlyOnce(Naming):
    """Cannot be made a second time, not even when the first one is closed."""

    made = 0

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        if OnlyOnce.made:
            raise RuntimeError("the device is used up")
        OnlyOnce.made += 1


class Counted(Naming):
    """Counts resets, steps, episodes and living environments.

    It writes them into the file that COUNTED_FILE names.
    """

    resets = steps = ended = living = most = 0
    length = 200

    def __init__(self, length: int = 200, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.length = length
        Counted.living += 1
        Counted.most = max(Counted.most, Counted.living)

    @staticmethod
    def tell() -> None:
        """Writes the counts."""
        with contextlib.suppress(KeyError):
            counts = {name: getattr(Counted, name) for name in ("resets", "steps", "ended", "most")}
            Path(os.environ["COUNTED_FILE"]).write_text(json.dumps(counts))

    def reset(self, **options: Any) -> Result:
        """Counts the end of an environment."""
        Counted.resets += 1
        return super().reset(**options)

    def step(self, action: Any) -> Result:
        """Counts a step."""
        Counted.steps += 1
        observation, reward, _, truncated, info = super().step(action)
        Counted.ended += self.t >= self.length
        return observation, reward, self.t >= self.length, truncated, info

    def close(self) -> None:
        """Counts a reset."""
        Counted.living -= 1


class Renders(Naming):
    """Says that it renders, and fails when it should."""

    def __init__(self, kind: str, render_mode: str | None = None) -> None:
        if kind == "blind" and render_mode is not None:
            raise ValueError(f"render_mode {render_mode} is not known")
        super().__init__(render_mode)

    def render(self) -> Any:
        """Raises."""
        raise RuntimeError("no display")


class NoEnvironment:
    """Has several agents, as in PettingZoo, and is no gymnasium.Env."""

    def reset(self, seed: int | None = None) -> Any:
        """Returns an observation per agent."""
        return {"a": 0}, {"a": {}}


atexit.register(Counted.tell)
for entry in (
    *(Naming, Ends, Talks, Meddles, CloseFails, FreedForEver, Changes, Answers, Particular),
    *(MasksByMethod, MasksInside, OneInstance, OnlyOnce, Counted, NoEnvironment, Renders),
):
    gym.register(f"{entry.__name__}-v0", entry_point=cast("Any", entry), disable_env_checker=True)
