"""Starting from a published version's weights."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from policy_api.v1 import artifact_pb2
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.repository import ModelRepository
from policyd_trainer.algorithms.build import Weights
from policyd_trainer.algorithms.loop import TrainingLoop
from policyd_trainer.algorithms.start import start
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.environments.make import inspect
from policyd_trainer.export.metadata import describe
from policyd_trainer.export.weights import FILE, dump_weights
from policyd_trainer.runs.training import snapshots
from policyd_trainer.runs.warm_start import warm_start

WIDE = "WidePole-v0"


class WidePole(gym.ObservationWrapper):
    """CartPole with observations of 5,000 numbers, as many as a small picture has."""

    def __init__(self) -> None:
        super().__init__(gym.make("CartPole-v1"))
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (5000,), np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """The four numbers again and again."""
        return np.resize(observation, 5000)


gym.register(WIDE, lambda **_: WidePole())


def configuration(seed: int, env_id: str = "CartPole-v1", **settings: str) -> TrainingConfig:
    values = {"preset": "default", "n_envs": "2", "n_steps": "4", **settings}
    return resolve_config("pole", env_id, "a2c", seed, values)


def published(
    root: Path, env_id: str = "CartPole-v1", *, with_weights: bool = True, with_moments: bool = True
) -> tuple[ModelRepository, TrainingLoop]:
    """A repository with one version, and the loop with its weights."""
    config = configuration(1, env_id)
    info = inspect(config)
    loop = start(config, info)
    for _ in zip(range(3), loop.run(), strict=False):
        pass
    last = snapshots(loop)[0]
    files: dict[str, Path | bytes] = {"model.onnx": b"any bytes"}
    if with_weights:
        moments = last.moments if with_moments else None
        files[FILE] = dump_weights(Weights(last.actor, last.critic), moments)
    repository = ModelRepository(root)
    metadata: artifact_pb2.PolicyMetadata = describe(config, info.encoder, info.codec, last.moments)
    version = repository.publish("pole", files, metadata=metadata)
    repository.set_alias("pole", "champion", version.version, actor="test", reason="")
    return repository, loop


@pytest.mark.parametrize("source", ["1", "champion"])
def test_weights_and_moments_come_over(tmp_path: Path, source: str) -> None:
    """A run with init_from starts with the version's weights and moments, and names its parent."""
    repository, parent = published(tmp_path)
    config = configuration(2, init_from=source)
    loop = start(config, inspect(config))
    lineage = warm_start(repository, config, loop)
    assert lineage is not None
    assert (lineage.policy, lineage.version) == ("pole", 1)
    assert lineage.digest == repository.read("pole", 1).digest
    assert loop.learner.critic is not None
    assert parent.learner.critic is not None
    np.testing.assert_array_equal(loop.acting.parameters, parent.acting.parameters)
    np.testing.assert_array_equal(loop.learner.critic.parameters, parent.learner.critic.parameters)
    assert loop.moments is not None
    assert parent.moments is not None
    assert loop.moments.count == parent.moments.count
    np.testing.assert_allclose(loop.moments.std, parent.moments.std, rtol=1e-9)


@pytest.mark.parametrize("env_id", ["CartPole-v1", WIDE])
def test_moments_of_large_observations_come_over(tmp_path: Path, env_id: str) -> None:
    """The version's description has no statistics of images, its file of weights has."""
    repository, parent = published(tmp_path, env_id)
    config = configuration(2, env_id, init_from="1")
    loop = start(config, inspect(config))
    warm_start(repository, config, loop)
    assert loop.moments is not None
    assert parent.moments is not None
    assert loop.moments.count == parent.moments.count > 0
    np.testing.assert_array_equal(loop.moments.mean, parent.moments.mean)
    np.testing.assert_array_equal(loop.moments.squares, parent.moments.squares)


def test_moments_of_an_older_releases_version_come_over(tmp_path: Path) -> None:
    """Its file of weights has none: they are those of its description."""
    repository, parent = published(tmp_path, with_moments=False)
    config = configuration(2, init_from="1")
    loop = start(config, inspect(config))
    warm_start(repository, config, loop)
    assert loop.moments is not None
    assert parent.moments is not None
    assert loop.moments.count == parent.moments.count > 0
    np.testing.assert_allclose(loop.moments.std, parent.moments.std, rtol=1e-9)


def test_without_init_from_nothing_changes(tmp_path: Path) -> None:
    """A run without init_from has no lineage."""
    repository, _ = published(tmp_path)
    config = configuration(2)
    assert warm_start(repository, config, start(config, inspect(config))) is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"init_from": "7"}, Exception, "7"),
        ({"init_from": "rival"}, InvalidArgument, r"settings\[init_from\]"),
        ({"init_from": "1", "hidden_sizes": "[8]"}, FailedPrecondition, "same spaces and hidden sizes"),
    ],
)
def test_wrong_sources(
    tmp_path: Path, settings: dict[str, str], error: type[Exception], message: str
) -> None:
    """An unknown version, an unknown alias and other networks each give an error that says so."""
    repository, _ = published(tmp_path)
    config = configuration(2, **settings)
    with pytest.raises(error, match=message):
        warm_start(repository, config, start(config, inspect(config)))


def test_a_version_without_weights(tmp_path: Path) -> None:
    """A version without weights cannot be the start of a run."""
    repository, _ = published(tmp_path, with_weights=False)
    config = configuration(2, init_from="1")
    with pytest.raises(FailedPrecondition, match="no weights"):
        warm_start(repository, config, start(config, inspect(config)))
