"""Starting from a published version's weights."""

from __future__ import annotations

import numpy as np

from policy_api.v1 import artifact_pb2
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.algorithms.interface import Loop
from policyd_trainer.config import TrainingConfig
from policyd_trainer.estimators.normalization import RunningMoments
from policyd_trainer.export.weights import FILE, load_moments, load_weights


def warm_start(
    repository: ModelRepository, config: TrainingConfig, loop: Loop
) -> artifact_pb2.Lineage | None:
    """Loads the weights that `init_from` names into a fresh loop; None if it names nothing.

    Raises:
        InvalidArgument: `init_from` names no version.
        FailedPrecondition: the version has no weights, or weights of other networks.
    """
    if config.init_from is None:
        return None
    source = _find(repository, config)
    content = _weights_of(repository, source)
    weights = load_weights(content)
    actor, critic = loop.parameter_counts
    _check(actor, weights.actor, source, "actor")
    if critic and weights.critic is not None:
        _check(critic, weights.critic, source, "critic")
    moments = None if loop.moments is None else moments_of(source, content, loop.moments)
    loop.load(weights, moments)
    return artifact_pb2.Lineage(policy=source.policy, version=source.version, digest=source.digest)


def moments_of(version: PublishedVersion, content: bytes, fresh: RunningMoments) -> RunningMoments:
    """The moments of the version whose file of weights has this content.

    `fresh` has seen nothing yet, and is for rows of the same kind. It is the answer if the version
    has no moments.
    """
    found = load_moments(content, fresh)
    if found is None and version.metadata.HasField("observation_statistics"):  # of an older release
        found = _described(version.metadata.observation_statistics, fresh)
    return fresh if found is None else found


def _described(statistics: artifact_pb2.ObservationStatistics, fresh: RunningMoments) -> RunningMoments:
    moments = fresh.copy()
    observed = len(statistics.mean)  # columns after it are the action mask, which is not scaled
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


def _weights_of(repository: ModelRepository, source: PublishedVersion) -> bytes:
    if FILE not in source.files:
        message = f"{source.policy} version {source.version} has no {FILE} to start from"
        raise FailedPrecondition(message)
    return repository.read_published(source, FILE)


def _check(count: int, parameters: np.ndarray, source: PublishedVersion, name: str) -> None:
    if len(parameters) != count:
        raise FailedPrecondition(
            f"{source.policy} version {source.version}: its {name} has {len(parameters)} parameters, this "
            f"run's {count}; init_from needs the same spaces and hidden sizes"
        )
