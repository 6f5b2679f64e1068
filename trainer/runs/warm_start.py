"""Starting from a published version's weights."""

from __future__ import annotations

import numpy as np

from policy_api.errors import FailedPrecondition, InvalidArgument
from policy_api.v1 import artifact_pb2
from repository import ModelRepository, PublishedVersion
from trainer.algorithms.build import Weights
from trainer.algorithms.loop import TrainingLoop
from trainer.config import TrainingConfig
from trainer.estimators.normalization import RunningMoments
from trainer.export.weights import FILE, load_weights
from trainer.networks.interface import Network


def warm_start(
    repository: ModelRepository, config: TrainingConfig, loop: TrainingLoop
) -> artifact_pb2.Lineage | None:
    """Puts the weights that `init_from` names into a fresh loop; None where it names nothing.

    Raises:
        InvalidArgument: `init_from` names no version.
        FailedPrecondition: the version has no weights, or weights of other networks.
    """
    if config.init_from is None:
        return None
    source = _find(repository, config)
    repository.verify(source.policy, source.version)
    weights = _weights_of(source)
    asarray = loop.learner.backend.asarray
    _check(loop.learner.actor, weights.actor, source, "actor")
    loop.learner.actor.parameters[:] = asarray(weights.actor)
    if loop.learner.critic is not None and weights.critic is not None:
        _check(loop.learner.critic, weights.critic, source, "critic")
        loop.learner.critic.parameters[:] = asarray(weights.critic)
    loop.acting.share()
    if loop.moments is not None and source.metadata.HasField("observation_statistics"):
        loop.moments = moments_of(source.metadata.observation_statistics, loop.moments)
    return artifact_pb2.Lineage(policy=source.policy, version=source.version, digest=source.digest)


def moments_of(statistics: artifact_pb2.ObservationStatistics, fresh: RunningMoments) -> RunningMoments:
    """The moments that a version's statistics were taken from, for rows as those of `fresh`."""
    moments = fresh.copy()
    observed = len(statistics.mean)  # an action mask behind it is not scaled
    moments.mean[:observed] = statistics.mean
    moments.squares[:observed] = np.array(statistics.std) ** 2 * statistics.count
    moments.count = statistics.count
    return moments


def _find(repository: ModelRepository, config: TrainingConfig) -> PublishedVersion:
    name = config.init_from or ""
    version = int(name) if name.isascii() and name.isdigit() else None
    if version is None:
        version = repository.aliases(config.policy).aliases.get(name)
    if version is None:
        wanted = f"a version or an alias of {config.policy}"
        raise InvalidArgument.of("settings[init_from]", got=repr(name), wanted=wanted)
    return repository.read(config.policy, version)


def _weights_of(source: PublishedVersion) -> Weights:
    try:
        return load_weights((source.directory / FILE).read_bytes())
    except FileNotFoundError:
        message = f"{source.policy} version {source.version} has no {FILE} to start from"
        raise FailedPrecondition(message) from None


def _check(network: Network, parameters: np.ndarray, source: PublishedVersion, name: str) -> None:
    if len(parameters) != len(network.parameters):
        raise FailedPrecondition(
            f"{source.policy} version {source.version}: its {name} has {len(parameters)} parameters, this "
            f"run's {len(network.parameters)}; init_from needs the same spaces and hidden sizes"
        )
