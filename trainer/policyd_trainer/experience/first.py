"""The first version of a policy, from its spaces alone.

Untrained weights that clients can act with.
"""

from __future__ import annotations

import numpy as np

from policy_api.v1.training_pb2 import Spaces as SpacesMessage
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.config import TrainingConfig
from policyd_trainer.experience.learning import LivePolicy
from policyd_trainer.experience.spaces import spaces_of_message


def publish_first(
    repository: ModelRepository,
    policy: str,
    alias: str,
    config: TrainingConfig,
    message: SpacesMessage,
    job_id: str,
) -> PublishedVersion:
    """Publishes untrained weights as a version, and points the alias to it.

    The alias must not exist yet.
    """
    live = LivePolicy(config, spaces_of_message(message, config))
    files, metadata = live.files(np.zeros((0, live.spaces.encoder.size), np.float32))
    version = repository.publish(policy, files, metadata=metadata, job_id=job_id and f"{job_id}.0")
    state = repository.aliases(policy)
    repository.set_alias(
        policy,
        alias,
        version.version,
        actor="learner",
        reason="the first version, untrained",
        expected_generation=state.generation,
    )
    return version
