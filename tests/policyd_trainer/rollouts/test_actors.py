"""Rollouts on Ray, without a cluster: what is refused. With one: tests/e2e/ray/test_rollouts.py."""

from __future__ import annotations

import importlib

import pytest

from policyd import errors
from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import resolve_config
from policyd_trainer.distributions.categorical import Categorical
from policyd_trainer.environments.make import inspect
from policyd_trainer.rollouts.worker import Share


def test_a_job_outside_a_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to do. Nothing starts a cluster by itself."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed: rollouts on Ray were NOT tested")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings = {"n_envs": "4", "rollout_workers": "2", "rollout_backend": '"ray"'}
    config = resolve_config("p", "CartPole-v1", "a2c", 0, settings)
    with pytest.raises(errors.FailedPrecondition, match="RAY_ADDRESS names none"):
        start(config, inspect(config))


def test_ray_needs_workers() -> None:
    """By default the learner's own process collects, and that cannot run on another machine."""
    with pytest.raises(errors.InvalidArgument, match="must be 1 or more with rollout_backend"):
        resolve_config("p", "CartPole-v1", "a2c", 0, {"rollout_backend": '"ray"'})


def test_workers_that_start_anew_repeat_no_episodes() -> None:
    """Environments that cannot be saved start from another seed each time, also in a second run."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed: rollouts on Ray were NOT tested")
    actors = importlib.import_module("policyd_trainer.rollouts.actors")
    config = resolve_config("p", "CartPole-v1", "a2c", 0, {"n_envs": "4"})
    share = Share(config, network_specs(config, 4, Categorical(2)).actor, 0, 4)
    seeds = []
    for run_seed in range(3):
        member = actors._Member(share, None, ("reset", run_seed))
        for _ in range(4):
            seeds.append(member.begun[1])
            for _ in range(actors.REPLAYED):
                member.note("collect", None, None)
            member.forget()
            assert member.since == []
    assert len(set(seeds)) == len(seeds) == 12
