"""Clients and the learner in one process, so that the age of what acts is exact.

The episodes go through what the learner reads from the log; server, files and time are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.live.worlds import Task
from policy_api.v1 import experience_pb2 as pb
from policyd_trainer.evaluation.selection import Snapshot
from policyd_trainer.experience.batches import WEIGHTED, Correction
from policyd_trainer.experience.config import LearnConfig
from policyd_trainer.experience.learning import LivePolicy
from policyd_trainer.experience.selection import Candidate
from policyd_trainer.experience.sequences import sequence_of
from policyd_trainer.experience.spaces import first_config, spaces_of_message
from policyd_trainer.spaces.boxes import BoxCodec

CLIENTS = 32


@dataclass
class Player:
    """One client: its world, and the episode that it is playing."""

    world: gym.Env[Any, Any]
    version: int = -1  # the version that acts in this episode
    observation: Any = None
    steps: list[pb.RecordedStep] = field(default_factory=list)


class Lab:
    """One policy and its clients. One version acts in a whole episode, as in the client library."""

    def __init__(
        self, task: Task, seed: int, *, lag: int = 0, correction: Correction = WEIGHTED, batch_steps: int = 0
    ) -> None:
        """`lag` is how many versions older than the newest the clients' version is."""
        settings = dict(task.settings)
        own, rest = LearnConfig.split(settings)
        config = first_config(task.name, task.algorithm, seed, rest, task.spaces)
        self.live = LivePolicy(config, spaces_of_message(task.spaces, config), correction)
        self.task, self._lag, self._batch_steps = task, lag, batch_steps or own.batch_steps
        self._rng = np.random.default_rng([seed, 17])
        self._versions: list[Snapshot] = [self.live.snapshot()]
        self._players = [Player(task.make()) for _ in range(CLIENTS)]
        for number, player in enumerate(self._players):
            player.world.reset(seed=seed * CLIENTS + number)
        self.decisions = 0

    def batches(self) -> Iterator[list[Candidate]]:
        """Plays and learns for ever. Yields each batch after learning from it."""
        found: list[Candidate] = []
        while True:
            found += self._step()
            if sum(len(candidate.sequence) for candidate in found) >= self._batch_steps:
                chosen = self.chosen(found)
                self.live.learn([candidate.sequence for candidate in chosen])
                self._versions.append(self.live.snapshot())
                yield chosen
                found = []

    def chosen(self, found: list[Candidate]) -> list[Candidate]:
        """The episodes to learn from: here, all."""
        return found

    def _step(self) -> list[Candidate]:
        """Does one step of every client. Returns the episodes that ended."""
        for player in self._players:
            if not player.steps and player.observation is None:
                player.version = max(0, len(self._versions) - 1 - self._lag)
                player.observation = player.world.reset()[0]
        ended: list[Candidate] = []
        for version in sorted({player.version for player in self._players}):
            group = [player for player in self._players if player.version == version]
            ended += self._act(group, self._versions[version])
        return ended

    def _act(self, group: list[Player], snapshot: Snapshot) -> list[Candidate]:
        codec = self.live.spaces.codec
        distribution = codec.distribution
        rows = np.stack(
            [np.asarray(player.observation, np.float32).reshape(-1) for player in group]
        )  # [B, D]
        policy = snapshot.policy(self.live.specs, distribution)
        outputs = policy.outputs(rows if policy.scaling is None else policy.scaling(rows))
        noise = distribution.noise(self._rng, 1, len(group))[0]
        actions = distribution.sample(outputs, noise)
        log_probs = distribution.log_probs(np, outputs, actions)
        self.decisions += len(group)
        ended = (
            self._play(player, row, action, float(log_prob))
            for player, row, action, log_prob in zip(group, rows, actions, log_probs, strict=True)
        )
        return [candidate for candidate in ended if candidate is not None]

    def _play(self, player: Player, row: np.ndarray, action: Any, log_prob: float) -> Candidate | None:
        codec = self.live.spaces.codec
        served, log_prob = _served(codec, action, log_prob)
        observation, reward, terminated, truncated, _ = player.world.step(
            codec.to_environment(np.asarray(action)[None])[0]
        )
        player.observation = observation
        player.steps.append(
            pb.RecordedStep(
                step=len(player.steps),
                version=player.version,
                observation=row.astype("<f4").tobytes(),
                action=served,
                log_prob=log_prob,
                reported=True,
                reward=float(reward),
            )
        )
        if not terminated and not truncated:
            return None
        episode = pb.Episode(steps=player.steps, end=pb.TERMINATED if terminated else pb.TRUNCATED)
        if not terminated:
            episode.final_observation = np.asarray(observation, "<f4").tobytes()
        player.steps, player.observation = [], None
        sequence = sequence_of(episode, self.live.spaces.encoder, codec)
        return None if sequence is None else Candidate(sequence, "", "")


def _served(codec: Any, action: Any, log_prob: float) -> tuple[bytes, float]:
    """The action and its log-probability as the server records them."""
    if not isinstance(codec, BoxCodec):
        return np.asarray(action, "<i8").tobytes(), log_prob
    if codec.options.squash == "clip":
        action = codec.middle + codec.half * action
    return np.asarray(action, "<f4").tobytes(), log_prob - float(np.log(codec.half).sum())
