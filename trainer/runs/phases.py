"""One run, phase by phase: TRAINING, EVALUATING, EXPORTING, COMPARING, PUBLISHING, PROMOTING."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from policy_api.v1 import artifact_pb2
from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.training_pb2 import TrainingProgress, TrainingResult
from repository import ModelRepository, PublishedVersion, verdicts
from trainer.algorithms.build import network_specs
from trainer.algorithms.start import start
from trainer.config import TrainingConfig
from trainer.environments.make import EnvironmentInfo, inspect
from trainer.evaluation.judge import Judge
from trainer.gate import judging
from trainer.gate.judging import Challenger, Promotion
from trainer.runs import mlflow_log
from trainer.runs.evaluating import evaluate
from trainer.runs.exporting import export
from trainer.runs.promoting import promote
from trainer.runs.reporting import Clock, Reporter
from trainer.runs.training import Stopped, Training
from trainer.runs.warm_start import warm_start


@dataclass(frozen=True)
class RunOptions:
    """What of a run does not change what is learned."""

    repository: Path
    run_dir: Path
    job_id: str
    promotion: Promotion


def execute(
    config: TrainingConfig, options: RunOptions, reporter: Reporter, stop_requested: Callable[[], bool]
) -> TrainingResult:
    """Trains, publishes and, where asked, promotes.

    Raises:
        PolicydError: with the reason why not.
        Stopped: `stop_requested` said so; running it again with the same run_dir goes on.
    """
    mlflow_log.require()
    repository = ModelRepository(options.repository)
    run = _Run(config, options, repository, Clock(reporter, config.total_timesteps), stop_requested)
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

    def learn_and_publish(self) -> PublishedVersion:
        config = self.config
        info = inspect(config)
        specs = network_specs(config, info.encoder.layout, info.codec.distribution)
        judge = Judge(config, info, specs)
        loop = start(config, info)
        try:
            lineage = warm_start(self.repository, config, loop)
            training = Training(config, loop, judge, self.clock, self.options.run_dir, self.stop_requested)
            last = training.run()
            self._enter(TrainingProgress.EVALUATING, 0.9)
            evaluated = evaluate(config, judge, training.state.selection, last)
        finally:
            loop.collector.close()
            judge.close()
        self._enter(TrainingProgress.EXPORTING, 0.95)
        files, metadata = export(
            config, info, specs, loop, training.state, evaluated, lineage, self.options.run_dir
        )
        verdict: GateVerdict | None = None
        if self.options.promotion.promote:
            model = files["model.onnx"]
            assert isinstance(model, bytes), "export makes it in memory"
            verdict = self._judge(info, model, metadata)
            files[verdicts.FIRST] = verdicts.encode(verdict)
        report = importlib.import_module("trainer.report.build")  # matplotlib: a second to import
        policy = evaluated.snapshot.policy(specs, info.codec.distribution)
        visited = (evaluated.greedy, evaluated.sampled)
        files |= report.build(config, info, policy, visited, metadata, verdict, files)
        self._enter(TrainingProgress.PUBLISHING, 0.98)
        published = self._publish(files, metadata)
        mlflow_log.log_run(config, training.state.curve, published)
        return published

    def promote(self, published: PublishedVersion) -> TrainingResult:
        self._enter(TrainingProgress.PROMOTING, 0.99)
        result = TrainingResult(
            policy=published.policy,
            version=published.version,
            digest=published.digest,
            evaluation=published.metadata.evaluation,
            version_path=published.directory.relative_to(self.repository.root).as_posix(),
            promotion_reason="not promoted: promotion was not asked for",
        )
        if self.options.promotion.promote:
            self._promote(published, result)
        return result

    def _promote(self, published: PublishedVersion, result: TrainingResult) -> None:
        verdict = self.repository.verdict(published.policy, published.version)
        if verdict is None:  # published by a run that did not ask for promotion
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
        challenger = Challenger(self.config, info, model, metadata.evaluation.greedy.mean)
        return judging.judge(self.repository, challenger, self.options.promotion, each_block)

    def _judge_again(self, published: PublishedVersion) -> GateVerdict:
        model = self.repository.read_model(published.policy, published.version)
        return self._judge(inspect(self.config), model, published.metadata)

    def _publish(
        self, files: Mapping[str, Path | bytes], metadata: artifact_pb2.PolicyMetadata
    ) -> PublishedVersion:
        return self.repository.publish(
            self.config.policy, files, metadata=metadata, job_id=self.options.job_id
        )

    def _enter(self, phase: TrainingProgress.Phase.ValueType, fraction: float) -> None:
        self._stop_if_asked()
        self.clock.tell(phase, fraction, self.config.total_timesteps, None)

    def _stop_if_asked(self) -> None:
        if self.stop_requested():
            raise Stopped
