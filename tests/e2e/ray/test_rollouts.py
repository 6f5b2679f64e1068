"""Rollout workers as actors over several nodes: the same numbers as processes, also after a loss.

`make ray`.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.errors import EnvironmentFailed
from policyd_trainer.environments.make import inspect
from policyd_trainer.guardian.tree import descendants
from tests.ray_cluster import VARIABLES
from tests.waiting import until

pytestmark = [
    pytest.mark.skipif("POLICYD_RAY" not in os.environ, reason="starts Ray clusters: make ray"),
]

AWKWARD = Path(__file__).parents[2] / "policyd_trainer"  # the folder of `awkward`
UPDATES = 12


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that runs nothing, and two nodes with room for two workers each."""
    import ray  # noqa: PLC0415 -- an extra
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (VARIABLES | {"PYTHONPATH": str(AWKWARD)}).items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(AWKWARD))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            cluster.add_node(num_cpus=2)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def configuration(algorithm: str, backend: str, env_id: str = "Acrobot-v1", **more: str) -> TrainingConfig:
    settings = {"preset": "default", "n_envs": "4", "max_episode_steps": "60", "rollout_workers": "2"}
    settings |= {"n_steps": "40"} if algorithm == "a2c" else {"episodes_per_update": "8"}
    settings |= {"rollout_backend": f'"{backend}"', "total_timesteps": str(10**6)} | more
    return resolve_config("p", env_id, algorithm, 0, settings)


def learned(config: TrainingConfig, between: Callable[[int, TrainingLoop], None]) -> np.ndarray:
    """The weights [P] after some updates. `between` is called after each update."""
    loop = start(config, inspect(config))
    try:
        for update, _ in zip(range(UPDATES), loop.run(), strict=False):
            between(update, loop)
        return loop.acting.export_parameters()
    finally:
        loop.collector.close()
        until(lambda: not actors(), lambda: f"these actors go on: {actors()}")


def undisturbed(update: int, loop: TrainingLoop) -> None:
    """Does nothing."""


@pytest.mark.parametrize("algorithm", ["a2c", "reinforce"])
def test_the_same_numbers_as_processes(cluster: Any, algorithm: str) -> None:
    """Two actors on two nodes give exactly the weights of two processes."""
    expected = learned(configuration(algorithm, "processes"), undisturbed)
    np.testing.assert_array_equal(learned(configuration(algorithm, "ray"), undisturbed), expected)


def test_lost_nodes_are_replaced(cluster: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nodes are killed during a run. Workers go on elsewhere, with exactly the same numbers.

    That happens twice: two rollouts after a snapshot, and three rollouts after the first loss.
    """
    expected = learned(configuration("a2c", "processes"), undisturbed)

    def disturbed(update: int, loop: TrainingLoop) -> None:
        if update == 3:
            assert loop.collector.snapshot() is not None
        if update in (5, 8):
            replace_nodes(cluster)

    with caplog.at_level(logging.WARNING):
        weights = learned(configuration("a2c", "ray"), disturbed)
    np.testing.assert_array_equal(weights, expected)
    for rollouts in (2, 5):
        assert caplog.messages.count(replaced(rollouts)) >= 2, caplog.messages  # both workers


def replace_nodes(cluster: Any) -> None:
    """Adds two nodes and ends the others like a power failure: kill -9 of their workers, too.

    A worker notices later that its node has ended, and would respond until then.
    """
    lost, workers = list(cluster.worker_nodes), actors()
    for _ in lost:
        cluster.add_node(num_cpus=2)
    for node in lost:
        cluster.remove_node(node, allow_graceful=False)
    for pid in workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_stopped_worker_is_replaced(cluster: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that a signal stopped is ended and replaced. The run gives the same numbers."""
    expected = learned(configuration("a2c", "processes"), undisturbed)
    stopped: list[int] = []

    def disturbed(update: int, loop: TrainingLoop) -> None:
        if update == 3:
            stopped.extend(actors())
            os.kill(stopped[0], signal.SIGSTOP)

    with caplog.at_level(logging.WARNING):
        weights = learned(configuration("a2c", "ray", step_timeout="2"), disturbed)
    np.testing.assert_array_equal(weights, expected)
    assert len(stopped) == 2
    assert replaced(4) in caplog.messages  # the worker has not responded after the signal


def replaced(rollouts: int) -> str:
    """What the log says if another worker plays that many rollouts again."""
    return f"a rollout worker was lost and is replaced; rollouts again: {rollouts}"


def actors() -> list[int]:
    """The processes of the rollout workers below this one."""
    title = b"ray::RolloutActor"  # Ray's name for an actor's process
    found = []
    for pid in descendants(os.getpid()):
        with suppress(OSError):  # the process has just ended
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(title):
                found.append(pid)
    return found


def test_an_environment_that_ends_its_worker_ends_the_run(cluster: Any) -> None:
    """The worker is replaced only a few times: the cause is the environment, not the machine."""
    kwargs = '{"way": "os._exit", "call": "step"}'
    config = configuration("a2c", "ray", "awkward:Ends-v0", env_kwargs=kwargs)
    with pytest.raises(EnvironmentFailed, match="ended 3 times in a row"):
        learned(config, undisturbed)
