"""One run, phase by phase: TRAINING, EVALUATING, EXPORTING, COMPARING, PUBLISHING, PROMOTING."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policy_api.v1 import artifact_pb2
from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.training_pb2 import TrainingProgress, TrainingResult
from policyd.repository import ModelRepository, PublishedVersion, verdicts
from policyd_trainer.algorithms.build import network_specs
from policyd_trainer.config import TrainingConfig
from policyd_trainer.environments.make import EnvironmentInfo, inspect
from policyd_trainer.environments.process_settings import own_settings
from policyd_trainer.evaluation.budget import Budget
from policyd_trainer.evaluation.evaluator import Evaluator
from policyd_trainer.gate import judging
from policyd_trainer.gate.judging import Challenger, Promotion
from policyd_trainer.runs import mlflow_log
from policyd_trainer.runs.beating import beating
from policyd_trainer.runs.engine import start_loop
from policyd_trainer.runs.evaluating import evaluate
from policyd_trainer.runs.exporting import export
from policyd_trainer.runs.promoting import promote
from policyd_trainer.runs.reporting import Clock, Reporter
from policyd_trainer.runs.training import Stopped, Training
from policyd_trainer.runs.warm_start import warm_start

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """The options of a run that do not change what is learned."""

    repository: Path | str
    run_dir: Path
    job_id: str
    promotion: Promotion


def execute(
    config: TrainingConfig, options: RunOptions, reporter: Reporter, stop_requested: Callable[[], bool]
) -> TrainingResult:
    """Trains, publishes and, if asked for, promotes.

    Raises:
        PolicydError: the run failed, with the reason.
        Stopped: `stop_requested` returned true. Another run with the same run_dir goes on.
    """
    mlflow_log.require()
    repository = ModelRepository(options.repository)
    repository.prepare()  # an error here comes before hours of training
    run = _Run(config, options, repository, Clock(reporter, config.total_timesteps), stop_requested)
    with beating(run.clock):
        published = repository.find_job(config.policy, options.job_id) if options.job_id else None
        if published is None:
            published = run.learn_and_publish()
        return run.promote(published)


@dataclass
class _Run:
    config: TrainingConfig
    options: RunOptions
    repository: ModelRepository
    clock: Clock
    stop_requested: Callable[[], bool]
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = Budget.of(self.config, self._each_step)
        self.clock.budget = self.budget
        self._reserve_for_the_gate()

    def _each_step(self) -> None:
        """Runs before each step of evaluation and gate: stops if asked to, reports progress."""
        self._stop_if_asked()
        self.clock.beat()

    def _reserve_for_the_gate(self) -> None:
        """Reserves budget for the gate's fewest episodes, if there is a champion."""
        promotion, policy = self.options.promotion, self.config.policy
        if promotion.promote and promotion.alias in self.repository.aliases(policy).aliases:
            self.budget.reserved = judging.RUNS * judging.FEWEST

    def learn_and_publish(self) -> PublishedVersion:
        config = self.config
        info = inspect(config)
        specs = network_specs(config, info.encoder.layout, info.codec.distribution)
        logger.info("%s", self.budget.describe())
        evaluator = Evaluator(config, info, specs, self.budget)
        loop = start_loop(config, info, self.options.run_dir)
        try:
            lineage = warm_start(self.repository, config, loop)
            training = Training(
                config, loop, evaluator, self.clock, self.options.run_dir, self.stop_requested
            )
            last = training.run()
            loop.close()  # some environments can exist only once
            self.budget.played(loop.episodes.mean_length or self.budget.length)
            self._enter(TrainingProgress.EVALUATING, 0.9)
            evaluated = evaluate(config, evaluator, training.state.selection, last)
        finally:
            loop.close()
            evaluator.close()
        self._enter(TrainingProgress.EXPORTING, 0.95)
        with own_settings():
            files, metadata = export(
                config, info, specs, loop, training.state, evaluated, lineage, self.options.run_dir
            )
        if self.options.promotion.promote:
            model = files["model.onnx"]
            assert isinstance(model, bytes), "export makes it in memory"
            verdict = self._judge(info, model, metadata)
            files[verdicts.FIRST] = verdicts.encode(verdict)
        self._enter(TrainingProgress.PUBLISHING, 0.98)
        return self._publish(files, metadata)

    def promote(self, published: PublishedVersion) -> TrainingResult:
        self._enter(TrainingProgress.PROMOTING, 0.99)
        result = TrainingResult(
            policy=published.policy,
            version=published.version,
            digest=published.digest,
            evaluation=published.metadata.evaluation,
            version_path=published.path,
            promotion_reason="not promoted: promotion was not asked for",
        )
        if self.options.promotion.promote:
            self._promote(published, result)
        return result

    def _promote(self, published: PublishedVersion, result: TrainingResult) -> None:
        verdict = self.repository.verdict(published.policy, published.version)
        if verdict is None:  # an earlier run published it without asking for promotion
            verdict = self._judge_again(published)
        outcome = promote(self.repository, published, verdict, lambda: self._judge_again(published))
        result.promoted, result.generation = outcome.promoted, outcome.generation
        result.promotion_reason = outcome.reason
        result.verdict.CopyFrom(outcome.verdict)

    def _judge(
        self, info: EnvironmentInfo, model: bytes, metadata: artifact_pb2.PolicyMetadata
    ) -> GateVerdict:
        def each_block() -> None:
            self._enter(TrainingProgress.COMPARING, 0.97)

        each_block()
        challenger = Challenger(self.config, info, model, metadata.evaluation.greedy.mean, self.budget)
        return judging.judge(self.repository, challenger, self.options.promotion, each_block)

    def _judge_again(self, published: PublishedVersion) -> GateVerdict:
        model = self.repository.read_model(published.policy, published.version)
        return self._judge(inspect(self.config), model, published.metadata)

    def _publish(
        self, files: Mapping[str, Path | bytes], metadata: artifact_pb2.PolicyMetadata
    ) -> PublishedVersion:
        with own_settings():
            return self.repository.publish(
                self.config.policy, files, metadata=metadata, job_id=self.options.job_id
            )

    def _enter(self, phase: TrainingProgress.Phase.ValueType, fraction: float) -> None:
        self._stop_if_asked()
        self.clock.tell(phase, fraction, self.config.total_timesteps, None)

    def _stop_if_asked(self) -> None:
        if self.stop_requested():
            raise Stopped
