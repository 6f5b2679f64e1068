"""The gate of a continuous job whose environment the trainer has: played before the alias moves."""

from __future__ import annotations

from collections.abc import Callable

from policy_api.v1 import artifact_pb2
from policy_api.v1.gate_pb2 import GateVerdict
from policyd.errors import FailedPrecondition
from policyd.repository import ModelRepository
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import inspect
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.evaluation.selection import Selection
from policyd_trainer.experience.learning import LivePolicy
from policyd_trainer.gate.judging import Challenger, Promotion, judge
from policyd_trainer.runs.evaluating import evaluate


class Judge:
    """Evaluates the learned policy in the trainer's own environment, against the champion."""

    def __init__(self, config: TrainingConfig, live: LivePolicy, promotion: Promotion) -> None:
        """Makes and inspects the environment.

        Raises:
            FailedPrecondition: the environment has other spaces than the policy.
            PolicydError: the same errors as `inspect`.
        """
        self._config, self._promotion = config, promotion
        self._info = inspect(config)
        ours, theirs = live.spaces, self._info
        if (ours.encoder.described, ours.codec.describe()) != (
            theirs.encoder.described,
            theirs.codec.describe(),
        ):
            message = f"{config.env_id} has other spaces than the policy {config.policy}: leave it out"
            raise FailedPrecondition(message, reason="OTHER_SPACES")

    def evaluate(self, live: LivePolicy, tick: Callable[[], None]) -> artifact_pb2.Evaluation:
        """Greedy and sampled returns. `tick` is called before each step, and may raise to stop."""
        self._budget = Budget.of(self._config, tick)
        evaluator = Evaluator(self._config, self._info, live.specs, self._budget)
        try:
            return evaluate(self._config, evaluator, Selection(), live.snapshot()).evaluation
        finally:
            evaluator.close()

    def verdict(
        self, repository: ModelRepository, model: bytes, evaluation: artifact_pb2.Evaluation
    ) -> GateVerdict:
        """Whether the alias may move to the model. Call `evaluate` first."""
        challenger = Challenger(self._config, self._info, model, evaluation.greedy.mean, self._budget)
        return judge(repository, challenger, self._promotion)
