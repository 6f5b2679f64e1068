"""One greedy episode as an animated GIF."""

from __future__ import annotations

import io
import logging
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

from policyd import masks
from policyd.counted import counted
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.calls import ACTION_MASKS, FIRST_RESET, RENDER, STEP
from policyd_trainer.environments.construct import close, make_one
from policyd_trainer.environments.contract import reset_result, step_result
from policyd_trainer.environments.make import EnvironmentInfo
from policyd_trainer.evaluation.figures import first_seed
from policyd_trainer.rollouts.policy import ActingPolicy

WIDTH = 320  # most pixels
FRAMES = 120  # most frames; a longer episode is shown in larger steps
STEPS = 2000  # most steps of the episode that are filmed
FRAME_MS = 40
COLOURS = 128  # of a frame

logger = logging.getLogger(__name__)


class _Film:
    """Keeps every `stride`-th frame; if there are too many, it drops every second one."""

    def __init__(self, steps: float) -> None:
        """`steps`: how long the episode will be, about. What would be dropped is not drawn then."""
        self.frames: list[Image.Image] = []
        self._stride = 1
        while steps / (2 * self._stride) >= FRAMES:
            self._stride *= 2
        self._step = 0

    @property
    def due(self) -> bool:
        """Whether the next frame is to be kept."""
        return self._step % self._stride == 0

    def step(self, frame: np.ndarray | None) -> None:
        """Counts a step and keeps its frame [H, W, 3]."""
        self._step += 1
        if frame is None:
            return
        picture = Image.fromarray(np.ascontiguousarray(frame, np.uint8))
        picture.thumbnail((WIDTH, WIDTH), Image.Resampling.BILINEAR)
        self.frames.append(picture)
        if len(self.frames) > FRAMES:
            self.frames = self.frames[::2]
            self._stride *= 2

    def gif(self) -> bytes:
        """All frames, then a pause, in an endless loop."""
        buffer = io.BytesIO()
        first, *rest = (frame.quantize(COLOURS, Image.Quantize.FASTOCTREE) for frame in self.frames)
        durations = [FRAME_MS] * len(rest) + [1000]
        first.save(buffer, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)
        return buffer.getvalue()


def film(
    config: TrainingConfig, info: EnvironmentInfo, policy: ActingPolicy, length: float = 0.0
) -> tuple[bytes, str]:
    """The GIF of an episode of about `length` steps, and a note for people.

    If the environment does not render, the GIF is empty and the note says so.
    """
    try:
        environment = make_one(config, render_mode="rgb_array")
    except Exception as error:  # noqa: BLE001  any error of a user's code; only a picture is lost
        logger.info("%s does not render: %s", config.env_id, error)
        return b"", f"{config.env_id} does not render."
    try:
        return _film(environment, config, info, policy, length)
    except Exception as error:
        logger.warning("filming %s failed", config.env_id, exc_info=True)
        return b"", f"Rendering {config.env_id} failed: {type(error).__name__}: {error}"
    finally:
        close(environment)


def _film(
    environment: gym.Env[Any, Any],
    config: TrainingConfig,
    info: EnvironmentInfo,
    policy: ActingPolicy,
    length: float,
) -> tuple[bytes, str]:
    seed = first_seed(config.seed, "report")
    with FIRST_RESET:
        answer = environment.reset(seed=seed)
    observation, given = reset_result(answer)
    filmed, total, done, steps = _Film(min(length, STEPS)), 0.0, False, 0
    filmed.step(_frame(environment))
    while not done and steps < STEPS:
        with ACTION_MASKS:
            mask = masks.given(environment, observation, given) if info.encoder.mask_width else None
        stored = policy.mode(info.encoder.encode(observation, mask)[None])
        action = info.codec.to_environment(stored)[0]
        with STEP:
            stepped = environment.step(action)
        observation, reward, terminated, truncated, given = step_result(stepped)
        total, steps, done = total + reward, steps + 1, terminated or truncated
        filmed.step(_frame(environment) if filmed.due or done else None)
    ending = "" if done else ", cut here"
    return (
        filmed.gif(),
        f"One greedy episode, seed {seed}: return {total:.1f} in {counted(steps, 'steps')}{ending}.",
    )


def _frame(environment: gym.Env[Any, Any]) -> np.ndarray:
    with RENDER:
        frame = environment.render()
    if not isinstance(frame, np.ndarray):
        raise TypeError(f"render() returned {type(frame).__name__}, expected an array [H, W, 3]")
    return frame
