"""The report of a version.

Pictures that open, an animation that moves, a page that holds all of it.
"""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from pathlib import Path

import pytest
from PIL import Image

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policy_api.v1.gate_pb2 import GateVerdict
from policyd_trainer.config import resolve_config
from policyd_trainer.report.aside import Part, made
from policyd_trainer.report.build import build
from policyd_trainer.report.subject import Place, Subject
from policyd_trainer.rollouts.episodes import EpisodeLog
from policyd_trainer.runs.curve import Curve, Point
from tests.policyd_trainer.gate.linear import FAIR, linear_policy

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module `awkward` can be imported, also by the processes that draw."""
    monkeypatch.syspath_prepend(TESTS)


def _subject(env_id: str, verdict: GateVerdict | None = None, **settings: object) -> Subject:
    """A policy that steps in the direction of the falling pole, or names the first of three."""
    texts = {name: json.dumps(value) for name, value in settings.items()}
    config = resolve_config("pole", env_id, "a2c", 0, texts)
    model = FAIR if env_id == "CartPole-v1" else linear_policy([1.0] * 3, outputs=3)
    points = [
        Point(steps, 0.0, {"rollout/ep_rew_mean": 20.0, "train/entropy_loss": -0.6}) for steps in (1, 2)
    ]
    log = EpisodeLog(env_steps=[1, 2], returns=[12.0, 28.0])
    place = Place(7, "c0ffee" * 10, before=6, after=None)
    return Subject(config, model, _metadata(env_id), verdict, Curve(points), log, place)


def _metadata(env_id: str) -> PolicyMetadata:
    metadata = PolicyMetadata(policy="pole", env_id=env_id, algorithm="a2c", settings={"gamma": "<0.9>"})
    actions = 2 if env_id == "CartPole-v1" else 3
    metadata.action_space.discrete.n = metadata.distribution.categorical.n = actions
    for figures in (metadata.evaluation.greedy, metadata.evaluation.sampled):
        figures.returns.extend([500.0] * 10)
    return metadata


def _report(env_id: str, verdict: GateVerdict | None = None, **settings: object) -> dict[str, bytes]:
    return build(_subject(env_id, verdict, **settings))


def _compared() -> GateVerdict:
    verdict = GateVerdict(promote=False, explanation="worse by 5 & more", champion_version=3)
    for pairs in (verdict.greedy, verdict.sampled):
        pairs.challenger.extend([10.0, 12.0, 9.0])
        pairs.champion.extend([15.0, 16.0, 15.0])
        pairs.difference.mean, pairs.difference.low, pairs.difference.high = -5, -7, -3
    return verdict


@pytest.mark.parametrize("verdict", [None, GateVerdict(promote=True), _compared()])
def test_every_picture_opens_and_stands_in_the_page(verdict: GateVerdict | None) -> None:
    """The files are valid images. report.html has exactly these, and fetches nothing."""
    files = _report("CartPole-v1", verdict)
    assert set(files) == {"report.html", "learning_curve.png", "returns.png", "actions.png", "episode.gif"}
    html = files["report.html"].decode()
    inside = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", html)]
    assert set(inside) == {content for name, content in files.items() if name != "report.html"}
    assert all(Image.open(io.BytesIO(content)).size[0] > 1 for content in inside)
    assert "http" not in html
    assert "&lt;0.9&gt;" in html


def test_the_episode_moves() -> None:
    """The animation has many frames, none larger than allowed."""
    movie = Image.open(io.BytesIO(_report("CartPole-v1")["episode.gif"]))
    assert getattr(movie, "n_frames", 1) > 10
    assert max(movie.size) <= 320


def test_the_verdict_is_told() -> None:
    """The gate's explanation is at the top of the page, escaped."""
    assert "The gate: worse by 5 &amp; more" in _report("CartPole-v1", _compared())["report.html"].decode()


@pytest.mark.parametrize(
    ("kwargs", "missing", "note"),
    [
        ({"kind": "blind"}, {"episode.gif"}, "does not render"),
        ({"kind": "broken"}, {"episode.gif"}, "failed: RuntimeError: no display"),
        ({"way": "segfault", "call": "render"}, {"episode.gif"}, "SIGSEGV in a call of the environment: ren"),
        ({"way": "sys.exit", "call": "step"}, {"episode.gif", "actions.png"}, "sys.exit"),
        ({"way": "segfault", "call": "constructor"}, {"episode.gif", "actions.png"}, "constructor"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_what_cannot_be_drawn_is_said(kwargs: dict[str, str], missing: set[str], note: str) -> None:
    """A failing environment costs only the pictures that need it, and the page says which."""
    kind = "Ends" if "way" in kwargs else "Renders"
    files = _report(f"awkward:{kind}-v0", env_kwargs=kwargs)
    everything = {"report.html", "learning_curve.png", "returns.png", "actions.png", "episode.gif"}
    assert set(files) == everything - missing
    assert note in files["report.html"].decode()


def _slow(_: Subject) -> Part:
    threading.Event().wait()
    return Part(b"never")


def test_a_part_that_takes_too_long_is_given_up() -> None:
    """The page is written without the part."""
    part = made("The animation", f"{__name__}:_slow", _subject("CartPole-v1"), seconds=0.5)
    assert part == Part(note="The animation is missing: it took longer than 0.5 s.")


@pytest.mark.parametrize(("steps", "episodes"), [(100_000, 20), (4000, 5), (10, 1)])
def test_what_is_played_again_counts_in_the_budget(steps: int, episodes: int) -> None:
    """Both modes play 20 steps in a twentieth of the steps, but at least one episode."""
    subject = _subject("CartPole-v1", total_timesteps=steps)
    subject.metadata.evaluation.greedy.mean_length = 20
    assert subject.replayed == episodes


def test_the_page_says_which_version_it_is_about() -> None:
    """Title and heading name the version, its digest is there, and there is a link to the last."""
    html = _report("CartPole-v1")["report.html"].decode()
    heading = "pole version 7: a2c on CartPole-v1"
    assert f"<title>{heading} (c0ffeec0ffee)</title>" in html
    assert f"<h1>{heading}</h1>" in html
    assert "c0ffee" * 10 in html
    assert '<a href="../6/report.html">Version 6 before it</a>' in html
    assert 'name="viewport"' in html


def test_settings_of_its_own_come_before_the_folded_rest() -> None:
    """A setting that differs from the preset shows both values. All others are in `details`."""
    html = _report("CartPole-v1")["report.html"].decode()
    shown = html[html.index("<h2>Settings") : html.index("<details>")]
    assert "gamma" in shown
    assert "&lt;0.9&gt; (preset: " in shown
