"""Two observations, and a training job, that the tests of this folder send."""

from __future__ import annotations

import numpy as np

from policy_api.v1 import training_pb2

SPEC = training_pb2.TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="a2c")

OBSERVATIONS = np.array([[0.0, 0.1, 0.02, -0.3], [0.0, 0.0, -0.05, 0.1]])
