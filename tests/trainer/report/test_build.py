"""The report of a version: pictures that open, an animation that moves, a page that holds all of it."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.gate_pb2 import GateVerdict
from trainer.config import TrainingConfig, resolve_config
from trainer.environments.make import EnvironmentInfo, inspect
from trainer.report.build import build
from trainer.rollouts.policy import ActingPolicy


class Blind(gym.Env[Any, Any]):
    """An environment that does not render; it ends after three steps."""

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begins."""
        self._left = 3
        return np.zeros(4, np.float32), {}

    def step(self, action: int) -> Any:
        """Counts down."""
        self._left -= 1
        return np.zeros(4, np.float32), 1.0, self._left == 0, False, {}


class Broken(Blind):
    """Says that it renders, and fails at it."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012  (Gymnasium's form)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def render(self) -> Any:
        """Fails."""
        raise RuntimeError("no display")


@pytest.fixture(autouse=True)
def _registered() -> Any:
    for kind in (Blind, Broken):
        gym.register(id=f"{kind.__name__}-v0", entry_point=lambda kind=kind, **arguments: kind(**arguments))
    yield
    for kind in (Blind, Broken):
        del gym.registry[f"{kind.__name__}-v0"]


def _subject(env_id: str) -> tuple[TrainingConfig, EnvironmentInfo, ActingPolicy]:
    """A policy that steps towards where the pole falls."""
    config = resolve_config("pole", env_id, "a2c", 0, {})
    info = inspect(config)
    weights = np.array([[0, 0], [0, 0], [-5, 5], [-5, 5]], np.float32)  # [D, O]
    return config, info, ActingPolicy(lambda rows: rows @ weights, info.codec.distribution)


def _metadata(env_id: str) -> PolicyMetadata:
    metadata = PolicyMetadata(policy="pole", env_id=env_id, algorithm="a2c", settings={"gamma": "<0.9>"})
    metadata.action_space.discrete.n = 2
    for figures in (metadata.evaluation.greedy, metadata.evaluation.sampled):
        figures.returns.extend([500.0] * 10)
    return metadata


def _states(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(size=(count, 4)).astype(np.float32)


def _report(env_id: str, verdict: GateVerdict | None = None) -> dict[str, bytes]:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    rng = np.random.default_rng(0)
    visited = (_states(rng, 50), _states(rng, 40))
    files: dict[str, Path | bytes] = {"learning_curve.png": picture.getvalue()}
    return build(*_subject(env_id), visited, _metadata(env_id), verdict, files)


def _compared() -> GateVerdict:
    verdict = GateVerdict(promote=False, explanation="worse by 5 & more", champion_version=3)
    for pairs in (verdict.greedy, verdict.sampled):
        pairs.challenger.extend([10.0, 12.0, 9.0])
        pairs.champion.extend([15.0, 16.0, 15.0])
        pairs.difference.mean, pairs.difference.low, pairs.difference.high = -5, -7, -3
    return verdict


@pytest.mark.parametrize("verdict", [None, GateVerdict(promote=True), _compared()])
def test_every_picture_opens_and_stands_in_the_page(verdict: GateVerdict | None) -> None:
    """The files are valid images, and report.html holds exactly them, with nothing to fetch."""
    files = _report("CartPole-v1", verdict)
    assert set(files) == {"report.html", "returns.png", "actions.png", "episode.gif"}
    html = files["report.html"].decode()
    inside = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", html)]
    assert {files["returns.png"], files["actions.png"], files["episode.gif"]} <= set(inside)
    assert all(Image.open(io.BytesIO(content)).size[0] > 1 for content in inside)
    assert "http" not in html
    assert "&lt;0.9&gt;" in html


def test_the_episode_moves() -> None:
    """The animation has many frames, none larger than it should be."""
    movie = Image.open(io.BytesIO(_report("CartPole-v1")["episode.gif"]))
    assert getattr(movie, "n_frames", 1) > 10
    assert max(movie.size) <= 320


def test_the_verdict_is_told() -> None:
    """The gate's explanation heads the page, escaped."""
    assert "The gate: worse by 5 &amp; more" in _report("CartPole-v1", _compared())["report.html"].decode()


@pytest.mark.parametrize(
    ("env_id", "note"), [("Blind-v0", "does not render"), ("Broken-v0", "failed: RuntimeError: no display")]
)
def test_what_cannot_be_filmed_is_said(env_id: str, note: str) -> None:
    """An environment without pictures, or with broken ones, costs the animation only."""
    files = _report(env_id)
    assert set(files) == {"report.html", "returns.png", "actions.png"}
    assert note in files["report.html"].decode()


def test_a_report_that_fails_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Where a picture cannot be made there is no report, and the log says why."""
    nothing = np.zeros((0, 4), np.float32)
    assert build(*_subject("CartPole-v1"), (nothing, nothing), _metadata("CartPole-v1"), None, {}) == {}
    assert "the report failed" in caplog.text
