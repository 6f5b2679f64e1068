"""A policy learns from its clients through policyctl, TrainingService and real processes.

No environment.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from examples.stack import Stack, StackSettings
from policy_api.v1.training_pb2 import TrainingJob, TrainingProgress, TrainingSpec
from policyd import PolicyClient
from policyd.errors import InvalidArgument
from policyd.repository import ModelRepository
from tests.e2e.conftest import Shell
from tests.e2e.crash.bandit import ARMS, POLICY, SPACES, Players, until, wrong
from tests.e2e.crash.system import workers

BEST = 0.99 * ARMS.max()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A trainer and a server, with an empty repository."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(StackSettings(folder, variables={"POLICYD_WORKERS": "1"})) as running:
        yield running


@pytest.fixture(scope="module")
def repository(stack: Stack) -> ModelRepository:
    """The repository that both share."""
    return ModelRepository(stack.settings.repository)


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[PolicyClient]:
    """A client of the server."""
    with PolicyClient(stack.server_address, timeout=60) as connected:
        yield connected


@pytest.fixture(scope="module")
def job(stack: Stack) -> TrainingJob:
    """A continuous job that began from spaces alone."""
    shell = Shell(stack.server_address, {})
    spaces = stack.settings.folder / "spaces.yaml"
    spaces.write_text(SPACES)
    words = ["learn", "--policy", POLICY, "--spaces", str(spaces), "--set", "batch_steps=256"]
    words += ["--set", "learning_rate=0.005", "--set", "n_epochs=4", "--json"]
    return TrainingJob(job_id=json.loads(shell(*words))["job_id"])


def expected_reward(client: PolicyClient) -> float:
    """The expected reward of the champion."""
    answer = client.act(np.zeros((1, 2), np.float32), policy=POLICY)
    return float(np.asarray(answer.action_probs)[0] @ ARMS)


def test_the_job_begins_with_an_untrained_version(
    job: TrainingJob, client: PolicyClient, repository: ModelRepository
) -> None:
    """The untrained version is served, with the spaces in its metadata.

    The mode is LEARN, set in the caller's name.
    """
    found = client.get_experience(POLICY)
    assert (found.config.mode, len(found.history)) == (3, 1)
    metadata = repository.read(POLICY, 1).metadata
    assert (metadata.env_id, metadata.action_space.discrete.n) == ("clients", 3)
    assert client.act(np.zeros((1, 2), np.float32), policy=POLICY).version == 1


def test_the_bandit_is_learned_although_the_worker_is_killed(
    job: TrainingJob, stack: Stack, client: PolicyClient, repository: ModelRepository
) -> None:
    """The reward comes within 1% of the optimum after two kill -9.

    No acknowledged outcome counts twice.
    """
    with Players(stack.server_address) as players:
        for _ in range(2):
            version = repository.aliases(POLICY).aliases["champion"]
            assert until(lambda: repository.aliases(POLICY).aliases["champion"] > version)  # noqa: B023
            for pid in workers(job.job_id):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert until(lambda: expected_reward(client) >= BEST)
    assert len(players.acknowledged) > 1000
    assert until(lambda: client.get_training_job(job.job_id).attempts == 3)
    assert until(lambda: client.get_training_job(job.job_id).progress.learning.version >= 3)
    now = client.get_training_job(job.job_id)
    assert now.state == TrainingJob.RUNNING
    assert (now.progress.fraction, now.progress.total_env_steps, now.progress.HasField("eta")) == (
        0,
        0,
        False,
    )
    assert until(lambda: not wrong(repository, players.acknowledged)), wrong(repository, players.acknowledged)


@pytest.mark.timeout(660)
def test_it_says_that_it_waits_when_nobody_plays(job: TrainingJob, client: PolicyClient) -> None:
    """The phase is WAITING. policyctl shows batches and steps, and no estimate.

    The job first learns from what has been played so far. On a busy machine that takes minutes,
    because its worker has the lowest priority.
    """
    for seen in client.watch_training_job(job.job_id, timeout=600):
        if seen.progress.phase == TrainingProgress.WAITING:
            break
    assert not seen.progress.HasField("eta")
    assert seen.progress.learning.version >= 1


def test_a_second_job_of_the_same_policy_is_refused(job: TrainingJob, client: PolicyClient) -> None:
    """The second job fails with a reason that says what to do."""
    spec = TrainingSpec(policy=POLICY, source=TrainingSpec.EXPERIENCE)
    other = client.wait_for_training_job(client.create_training_job(spec).job_id, timeout=120)
    assert (other.state, other.failure.reason) == (TrainingJob.FAILED, "ALREADY_LEARNING")


def test_ordinary_jobs_run_beside_it(job: TrainingJob, client: PolicyClient) -> None:
    """A continuous job does not delay other jobs, although the trainer runs one at a time."""
    settings = {"total_timesteps": "64", "n_envs": "2", "n_steps": "4", "candidates": "1"}
    spec = TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="a2c", settings=settings)
    spec.settings["evaluation_episodes"] = "2"
    ended = client.wait_for_training_job(client.create_training_job(spec).job_id, timeout=100)
    assert ended.state == TrainingJob.SUCCEEDED


def test_cancelling_ends_it(job: TrainingJob, client: PolicyClient, repository: ModelRepository) -> None:
    """The job has published, so it succeeded. Its result is its last version."""
    client.cancel_training_job(job.job_id)
    ended = client.wait_for_training_job(job.job_id, timeout=120)
    assert ended.state == TrainingJob.SUCCEEDED
    assert ended.result.version == repository.versions(POLICY)[-1]
    assert ended.result.promoted
    assert workers(job.job_id) == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"settings": {"batch_steps": "0"}}, "settings[batch_steps]"),
        ({"settings": {"gamma": "2"}}, "settings[gamma]"),
        ({"settings": {"correction": "vtrace"}, "algorithm": "reinforce"}, "settings[correction]"),
        ({"init_from": "1"}, "spec.init_from"),
        ({"promotion": {"min_return": 3.0}}, "spec.env_id"),
        ({"env_id": "NoSuch-v0"}, "spec.env_id"),
        ({"algorithm": "dqn"}, "algorithm"),
        ({"spaces": {"action": {"discrete": {"n": 2}}}}, "spec.spaces.observation"),
        ({"spaces": {"observation": {"box": {"shape": [10**9, 10**9]}}, "action": {"discrete": {"n": 2}}}},
         "spec.spaces.observation"),
        ({"source": TrainingSpec.ENVIRONMENT, "env_id": "CartPole-v1", "algorithm": "a2c", "spaces": {}},
         "spec.spaces"),
    ],
)  # fmt: skip
def test_a_wrong_request_names_the_field(client: PolicyClient, fields: dict[str, object], named: str) -> None:
    """The error names the field, and nothing is queued."""
    spec = TrainingSpec(**{"policy": POLICY, "source": TrainingSpec.EXPERIENCE, **fields})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument) as raised:
        client.create_training_job(spec)
    assert named in [violation.field for violation in raised.value.violations]
