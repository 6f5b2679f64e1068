"""A rollout in one compiled call is the rollout of stepping one by one."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

from policyd_trainer import compiled
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.forms.cartpole import CartPole
from policyd_trainer.environments.make import inspect
from policyd_trainer.environments.vectors import VectorEnvironments
from policyd_trainer.rollouts import collector as collector_module
from policyd_trainer.rollouts.buffer import Rollout, RolloutBuffer
from policyd_trainer.rollouts.fused import collect_compiled

pytestmark = pytest.mark.skipif(
    not compiled.AVAILABLE, reason="nothing is compiled here: there was no C compiler"
)


def rollouts(env_id: str, monkeypatch: pytest.MonkeyPatch, *, fused: bool, **settings: str) -> list[Rollout]:
    """Six rollouts of a policy that learns in between. The third follows a snapshot."""
    base = {"n_envs": "5", "n_steps": "40", "total_timesteps": "1200", "preset": "default"}
    config = resolve_config("p", env_id, "a2c", 3, {**base, **settings})
    calls = []

    def counted(*arguments: object) -> bool:
        calls.append(fused and collect_compiled(*arguments))  # type: ignore[arg-type]
        return calls[-1]

    monkeypatch.setattr(collector_module, "collect_compiled", counted)
    loop, found = start(config, inspect(config)), []
    for rollout in loop.run():
        found.append(copy.deepcopy(rollout))
        if len(found) == 2:
            saved = loop.collector.snapshot()
            assert saved is not None
            loop.collector.restore(saved)
    loop.close()
    assert calls == [fused] * 6
    return found


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Acrobot-v1"])
@pytest.mark.parametrize("scaled", ["true", "false"])
@pytest.mark.parametrize("limit", ["17", "null"])
def test_the_same_rollouts(env_id: str, scaled: str, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array of each rollout is the same, with both kinds of ends, across rollouts."""
    settings = {"normalize_observations": scaled, "max_episode_steps": limit}
    ours = rollouts(env_id, monkeypatch, fused=True, **settings)
    plain = rollouts(env_id, monkeypatch, fused=False, **settings)
    assert any(len(rollout.final_index) for rollout in ours) == (limit == "17")
    assert any(rollout.dones.any() for rollout in ours) or (env_id, limit) == ("Acrobot-v1", "null")
    for found, wanted in zip(ours, plain, strict=True):
        for field in dataclasses.fields(Rollout):
            array, expected = getattr(found, field.name), getattr(wanted, field.name)
            if array is None and expected is None:
                continue
            assert (array.dtype, array.shape) == (expected.dtype, expected.shape), field.name
            np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-5, err_msg=field.name)


def test_what_is_not_compiled() -> None:
    """Other equations and policies are stepped one by one, as a subclass may change anything."""

    class Heavier(CartPole):
        """Somebody's own equations."""

    config = resolve_config("p", "CartPole-v1", "a2c", 0, {"n_envs": "2", "n_steps": "4"})
    info = inspect(config)
    loop = start(config, info)
    policy = loop.acting.policy(None)
    buffer = RolloutBuffer(4, 2, 4, info.codec.distribution)
    noise = np.zeros((4, 2))
    environments = VectorEnvironments(CartPole(np), 2, info.codec, None)
    buffer.begin(environments.reset(0))
    assert collect_compiled(environments, policy, noise, buffer)
    assert not collect_compiled(environments, dataclasses.replace(policy, outputs=len), noise, buffer)  # type: ignore[arg-type]
    other = VectorEnvironments(Heavier(np), 2, info.codec, None)
    other.reset(0)
    assert not collect_compiled(other, policy, noise, buffer)
    loop.close()
