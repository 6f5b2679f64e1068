"""A policy that learns from sequences.

No environment, only spaces, weights and a batch at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from typing import Any

import numpy as np
from google.protobuf import json_format

from policy_api.v1 import artifact_pb2
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.repository import ModelRepository, PublishedVersion
from policyd_trainer.algorithms import state
from policyd_trainer.algorithms.build import NetworkSpecs, Weights, build_learner, network_specs
from policyd_trainer.algorithms.rates import Rates
from policyd_trainer.arrays import resolve_device
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.estimators.normalization import (
    ObservationScaling,
    RewardScaler,
    RunningMoments,
    most_rows,
)
from policyd_trainer.evaluation.selection import Snapshot
from policyd_trainer.experience.batches import WEIGHTED, Correction, batch_of, rollout_of
from policyd_trainer.experience.outliers import within_reach
from policyd_trainer.experience.sequences import Sequence
from policyd_trainer.experience.spaces import CLIP_RANGE, EPOCHS, Spaces
from policyd_trainer.export import weights
from policyd_trainer.export.graph import METADATA_KEY, expected_outputs, policy_model
from policyd_trainer.export.metadata import describe
from policyd_trainer.export.parity import certify, largest_difference, runner
from policyd_trainer.runs.warm_start import moments_of

#: Observations of the parity check: drawn from the whole space, and from the last batch.
RANDOM, VISITED = 200, 200
#: Settings that determine the networks, their inputs and their outputs.
NETWORKS = frozenset(
    {
        *("preset", "hidden_sizes", "critic_hidden_sizes", "activation", "squash", "log_std_init", "use_sde"),
        *("normalize_observations", "env_kwargs", "wrappers"),
    }
)


def config_of(
    metadata: artifact_pb2.PolicyMetadata,
    settings: Mapping[str, str],
    *,
    algorithm: str = "",
    env_id: str = "",
) -> TrainingConfig:
    """The settings that the version was made with, overridden by `settings`.

    Ratios are always clipped, whatever the version's own settings were, because recorded actions
    are never quite new; clipping also allows several epochs per batch. If `algorithm` differs from
    the version's, its own preset applies, but the shape of the networks is kept.
    """
    chosen = algorithm or metadata.algorithm
    kept = dict(metadata.settings)
    if chosen != metadata.algorithm:
        kept = {name: text for name, text in kept.items() if name in NETWORKS}
    merged = {**kept, **settings}
    if merged.get("clip_range", "null") == "null":
        merged |= {"clip_range": CLIP_RANGE, "n_epochs": settings.get("n_epochs", EPOCHS)}
    return resolve_config(metadata.policy, env_id or metadata.env_id, chosen, metadata.seed, merged)


class LivePolicy:
    """The weights that learn, with their optimisers, moments and settings."""

    def __init__(self, config: TrainingConfig, spaces: Spaces, correction: Correction = WEIGHTED) -> None:
        """Raises InvalidArgument if the settings contradict each other."""
        if correction.kind == "vtrace" and config.algorithm != "a2c":
            raise InvalidArgument.of(
                "settings[correction]", got="vtrace", wanted="weighted, clip or none with reinforce"
            )
        self.config, self.spaces, self._correction = config, spaces, correction
        distribution = spaces.codec.distribution
        self.specs: NetworkSpecs = network_specs(config, spaces.encoder.layout, distribution)
        self.learner = build_learner(config, self.specs, distribution, resolve_device(config.device))
        self.steps = 0  # steps learned from so far
        self._rng = np.random.default_rng([config.seed, 3])
        layout = self.specs.actor.layout
        self._moments = RunningMoments.for_rows(layout.groups()) if config.normalize_observations else None
        self._rewards = RewardScaler(1, config.gamma) if config.normalize_rewards else None

    def load(self, repository: ModelRepository, version: PublishedVersion) -> None:
        """Loads the weights and moments of a published version.

        Raises:
            FailedPrecondition: the version has no weights, like an imported model, or its networks
                have another shape.
        """
        if weights.FILE not in version.files:
            message = f"{version.policy} version {version.version} has no {weights.FILE} to learn on from"
            raise FailedPrecondition(message, reason="NO_WEIGHTS")
        content = repository.read_published(version, weights.FILE)
        found = weights.load_weights(content)
        if len(found.actor) != len(self.learner.actor.parameters):
            message = f"{version.policy} version {version.version} has networks of another shape"
            raise FailedPrecondition(message, reason="OTHER_NETWORKS")
        asarray = self.learner.backend.asarray
        self.learner.actor.parameters[:] = asarray(found.actor)
        critic = self.learner.critic
        if critic is not None and found.critic is not None and len(found.critic) == len(critic.parameters):
            critic.parameters[:] = asarray(found.critic)
        if self._moments is not None:
            self._moments = moments_of(version, content, self._moments)

    def capture(self) -> dict[str, Any]:
        """Everything that is needed to go on as if nothing had happened. It can be pickled."""
        return {
            "config": self.config.model_dump(),
            "learner": state.capture(self.learner),
            "steps": self.steps,
            "rng": self._rng,
            "moments": self._moments,
            "rewards": self._rewards,
        }

    def put_back(self, saved: Mapping[str, Any]) -> bool:
        """Loads what `capture` returned.

        Returns False, and loads nothing, if that came from other settings.
        """
        if saved["config"] != self.config.model_dump():
            return False
        state.put_back(self.learner, saved["learner"])
        self.steps, self._rng = saved["steps"], saved["rng"]
        self._moments, self._rewards = saved["moments"], saved["rewards"]
        return True

    def learn(self, sequences: Many[Sequence]) -> None:
        """Learns from one batch: estimates advantages, then does every epoch and minibatch.

        Raises:
            Diverged: a gradient is not finite.
        """
        rollout = rollout_of(sequences)
        scaling = None if self._moments is None else ObservationScaling.of(self._moments)
        rewards = rollout.rewards
        if self._rewards is not None:
            self._rewards.discounted = np.zeros(len(sequences))  # each column is a separate episode
            rewards = self._rewards.scale(rewards, rollout.dones, rollout.valid)
        found = batch_of(self.config, self.learner, sequences, rollout, rewards, scaling, self._correction)
        with np.errstate(all="ignore"):  # a run that diverges shows in the gradient's norm
            self.learner.update(found.batch, self._rates(found.trust), self._rng)
        if self._moments is not None:
            self._moments.update(within_reach(rollout.observations[:-1][rollout.valid]))
        self.steps += rollout.steps

    def files(self, visited: np.ndarray) -> tuple[dict[str, bytes], artifact_pb2.PolicyMetadata]:
        """The files of a version and its description. `visited` [K, D] are rows of the last batch.

        Raises:
            ParityFailed: ONNX Runtime computes other outputs than the trainer.
        """
        snapshot, encoder, codec = self.snapshot(), self.spaces.encoder, self.spaces.codec
        metadata = describe(self.config, encoder, codec, snapshot.moments)
        metadata.training.env_steps = self.steps
        metadata.training.updates = self.learner.updates
        model = policy_model(self.specs, snapshot, codec, encoder.shape)
        run_onnx = runner(model.SerializeToString())
        drawn = encoder.random(self._rng, RANDOM)
        seen = visited[:VISITED, : encoder.observed].astype(np.float32)
        observations = np.concatenate((drawn, seen)).reshape(-1, *encoder.shape)
        difference = largest_difference(
            expected_outputs(self.specs, snapshot, codec, observations), run_onnx(observations)
        )
        metadata.parity.CopyFrom(certify(difference, random=RANDOM, visited=len(seen)))
        described = json_format.MessageToJson(metadata, indent=None)
        model.metadata_props.add(key=METADATA_KEY, value=described)
        dumped = weights.dump_weights(Weights(snapshot.actor, snapshot.critic), snapshot.moments)
        return {"model.onnx": model.SerializeToString(), weights.FILE: dumped}, metadata

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """The distribution's parameters [B, outputs] for rows [B, D], with the weights now."""
        backend, actor = self.learner.backend, self.learner.actor
        scaling = None if self._moments is None else ObservationScaling.of(self._moments)
        some, parts = most_rows(rows), []
        for start in range(0, len(rows), some):
            part = rows[start : start + some]
            observed = backend.asarray(part if scaling is None else scaling(part))
            parts.append(backend.to_numpy(actor.outputs(observed)).copy())
        return np.concatenate(parts)

    def snapshot(self) -> Snapshot:
        """The policy that would be published now."""
        to_numpy, critic = self.learner.backend.to_numpy, self.learner.critic
        return Snapshot(
            env_steps=self.steps,
            actor=to_numpy(self.learner.actor.parameters).copy(),
            critic=None if critic is None else to_numpy(critic.parameters).copy(),
            moments=None if self._moments is None else self._moments.copy(),
        )

    def _rates(self, trust: float) -> Rates:
        """The learning rates and entropy weight. The actor's rate is multiplied by `trust`.

        Else they are constant: a continuous job has no end that a schedule could lead to.
        """
        config = self.config
        critic_rate = config.critic_learning_rate or config.learning_rate
        return Rates(trust * config.learning_rate, critic_rate, config.ent_coef)
