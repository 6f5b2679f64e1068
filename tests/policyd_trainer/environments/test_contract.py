"""Environments that break Gymnasium's contract are refused by name.

Those that use it freely work.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policyd.errors import InvalidArgument, PolicydError
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.calls import STEP
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.make import inspect
from policyd_trainer.environments.seeds import derived
from policyd_trainer.evaluation.figures import EPISODES, first_seed
from policyd_trainer.guardian.board import BOARD

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def awkward(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module of environments can be imported by its name."""
    monkeypatch.syspath_prepend(TESTS)


def configuration(name: str, algorithm: str = "a2c", **settings: Any) -> TrainingConfig:
    given = {"preset": "course", "total_timesteps": 300, **settings}
    texts = {key: json.dumps(value) for key, value in given.items()}
    return resolve_config("p", f"awkward:{name}-v0", algorithm, 0, texts)


def learn(name: str, algorithm: str = "a2c", **settings: Any) -> Any:
    config = configuration(name, algorithm, **settings)
    loop = start(config, inspect(config))
    try:
        return list(loop.run()), loop
    finally:
        loop.collector.close()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("old reset", "reset returned ndarray, expected (observation, info)"),
        ("old step", "step returned a tuple of 4"),
        ("rewards", "expected one number. Combine the rewards"),
        ("agents", "expected one number. Combine the rewards"),
        ("ends", "terminated={'a': False}, expected True or False"),
        ("empty mask", "the action mask allows no action"),
        ("type error", "constructor failed with TypeError: object of type 'int' has no len()"),
    ],
)
def test_a_broken_contract_is_named(kind: str, told: str) -> None:
    """The message has the value that came, what was expected and what to do."""
    with pytest.raises(EnvironmentFailed) as raised:
        learn("Answers", env_kwargs={"kind": kind})
    assert told in raised.value.message


def test_the_old_api_inside_a_wrapper_is_named() -> None:
    """Gymnasium's own wrappers raise before we see the result. The message still says why."""
    with pytest.raises(EnvironmentFailed, match=r"Gym before version 0\.26"):
        learn("Answers", env_kwargs={"kind": "old step"}, max_episode_steps=5)


def test_several_agents_are_refused() -> None:
    """The error names a class that is not a gymnasium.Env, and says what to do."""
    with pytest.raises(InvalidArgument, match=r"env_id.*several agents"):
        inspect(configuration("NoEnvironment"))


def test_a_registration_in_the_old_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says whether the old package has the name or not.

    A module may then need a package that is missing.
    """
    package = tmp_path / "with" / "gym" / "envs"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "registration.py").write_text("registry = {}\n")
    (tmp_path / "old_one.py").write_text(
        "from gym.envs.registration import registry\nregistry['Old-v0'] = 1\n"
    )
    (tmp_path / "gymless.py").write_text("import gym\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidArgument, match="needs the old package gym"):
        inspect(resolve_config("p", "gymless:Old-v0", "a2c", 0, {}))
    monkeypatch.syspath_prepend(tmp_path / "with")
    with pytest.raises(InvalidArgument, match="registered in the old package gym"):
        inspect(resolve_config("p", "old_one:Old-v0", "a2c", 0, {}))
    for name in [name for name in sys.modules if name.partition(".")[0] == "gym"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("name", ["Particular", "MasksByMethod", "MasksInside"])
@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_free_use_of_the_contract_works(name: str, algorithm: str) -> None:
    """Numpy's integers, seeds of a C int, one-element arrays and all kinds of masks work."""
    rollouts, _ = learn(name, algorithm)
    if name.startswith("Masks"):
        for rollout in rollouts:
            assert rollout.rewards[rollout.valid].all()  # only the right answer is ever allowed


def test_seeds_fit_a_c_int() -> None:
    """The largest seeds of a run, and all seeds after a first one, fit a C int."""
    runs = (0, 7, 2**31, 2**63 - 1)
    assert all(0 <= derived(seed, index) < 2**31 for seed in runs for index in range(100))
    assert all(first_seed(seed, purpose) + EPISODES <= 2**31 for seed in runs for purpose in "abcdefgh")


def test_each_reset_begins_an_episode_that_is_played() -> None:
    """REINFORCE resets once per episode.

    So an environment that takes its start states in turn loses none.
    """
    counted = importlib.import_module("awkward").Counted
    before = (counted.resets, counted.ended)
    look = 1  # `inspect` takes one observation
    learn(
        "Counted", "reinforce", env_kwargs={"length": 7}, total_timesteps=200, n_envs=2, episodes_per_update=4
    )
    resets, ended = counted.resets - before[0], counted.ended - before[1]
    assert ended >= 28
    assert resets == ended + look


def test_a_call_is_written_down_while_it_runs() -> None:
    """If the process is killed in a call, the guardian can read which one it was."""
    with STEP:
        assert BOARD.call == "step"
    assert BOARD.call == ""
    with pytest.raises(EnvironmentFailed, match=r"step: the environment called sys.exit\(3\)"), STEP:
        sys.exit(3)
    with pytest.raises(PolicydError), STEP:
        raise GeneratorExit
    assert np.isscalar(BOARD.code)
