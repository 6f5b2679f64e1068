"""A bandit with one number as its action."""

from __future__ import annotations

import numpy as np
import onnxruntime

from policy_api.v1 import artifact_pb2, training_pb2
from policy_api.v1 import experience_pb2 as pb
from policyd_trainer.experience.held_out import is_held_out
from tests.policyd_trainer.experience.world import POLICY, SPACES, World

SHARE = 0.5  # share of the episodes that are kept apart
LOW, HIGH = -1.0, 5.0  # neither symmetric around 0 nor of length 2, so that units matter
SEEN = np.array([0.5, -0.5], "<f4")  # the only observation


class BoxWorld(World):
    """A bandit with one number as its action. Actions near the upper bound win more."""

    spaces = training_pb2.Spaces(
        observation=SPACES.observation,
        action=artifact_pb2.Space(
            box=artifact_pb2.BoxSpace(shape=[1], dtype="float32", low=[LOW], high=[HIGH])
        ),
    )

    def moments(self) -> tuple[float, float]:
        """Mean and deviation of the champion's action; with tanh, before the squash."""
        session = onnxruntime.InferenceSession(self.repository.read_model(POLICY, self.champion()))
        mean, std = session.run(["action_mean", "action_std"], {"observations": SEEN[None]})
        return float(np.asarray(mean)[0, 0]), float(np.asarray(std)[0, 0])

    def play_box(self, episodes: int, squash: str, *, learned: float = 1.0, wider: float = 1.0) -> None:
        """Clients act with the champion's distribution, and report the action's reward.

        `learned` is the sign of the reward in episodes that the job learns from. Those that are
        kept apart have the true reward. `wider` is the deviation of the draws, divided by the
        recorded one.
        """
        mean, std = self.moments()
        for _ in range(episodes):
            u = mean + wider * std * float(self.rng.standard_normal())
            log_prob = -0.5 * ((u - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
            action = u
            if squash == "tanh":  # the density of the action itself
                action = (HIGH + LOW) / 2 + (HIGH - LOW) / 2 * np.tanh(u)
                log_prob -= np.log((HIGH - LOW) / 2 * (1 - np.tanh(u) ** 2))
            worth = (float(np.clip(action, LOW, HIGH)) - LOW) / (HIGH - LOW)
            name = str(self.episodes)
            step = pb.RecordedStep(
                step=0,
                version=self.champion(),
                observation=SEEN.tobytes(),
                action=np.array([u], "<f4").tobytes(),
                log_prob=float(log_prob),
                reported=True,
                reward=worth if is_held_out(name, SHARE) else learned * worth,
            )
            self.log.append(pb.Episode(policy=POLICY, episode_id=name, steps=[step], end=pb.TERMINATED))
            self.episodes += 1
        self.log.commit()
