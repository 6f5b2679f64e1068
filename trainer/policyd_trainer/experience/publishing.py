"""From what was learned to a version and to the alias that clients act by."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from policy_api.v1 import artifact_pb2
from policy_api.v1.gate_pb2 import GateVerdict
from policyd.counted import counted
from policyd.errors import Conflict, NotFound
from policyd.repository import ModelRepository, PublishedVersion, verdicts
from policyd_trainer.experience.evidence import EvidenceGate
from policyd_trainer.experience.judging import Judge
from policyd_trainer.experience.learning import LivePolicy
from policyd_trainer.experience.state import FILE, LearningState, encode
from policyd_trainer.gate.judging import Promotion

ACTOR = "learner"


@dataclass(frozen=True)
class Publisher:
    """Publishes the versions of one job."""

    repository: ModelRepository
    policy: str
    promotion: Promotion
    job_id: str  # empty: outside a job
    judge: Judge | None  # None: the trainer has no environment for it
    evidence: EvidenceGate | None = None  # decides if there is no environment; None: nothing does

    def publish(
        self, live: LivePolicy, state: LearningState, visited: np.ndarray, tick: Callable[[], None]
    ) -> PublishedVersion:
        """Publishes the next version.

        For the same batch of the same job it returns the same version: `state.newest_batches` says
        what this process published, and the job's id what one before it did.

        `visited` [K, D] are rows of the last batch.

        Raises:
            ParityFailed: ONNX Runtime computes other outputs than the trainer.
        """
        if (before := self._before(state)) is not None:
            return before
        files, metadata = live.files(visited)
        source = self.repository.read(self.policy, state.version)
        metadata.lineage.CopyFrom(
            artifact_pb2.Lineage(policy=self.policy, version=source.version, digest=source.digest)
        )
        files[FILE] = encode(state.learned())
        if self.judge is not None:
            metadata.evaluation.CopyFrom(self.judge.evaluate(live, tick))
            verdict = self.judge.verdict(self.repository, files["model.onnx"], metadata.evaluation)
            files[verdicts.FIRST] = verdicts.encode(verdict)
        elif self.evidence is not None:
            files[verdicts.FIRST] = verdicts.encode(self.evidence.verdict(self.repository, live))
        return self.repository.publish(self.policy, files, metadata=metadata, job_id=self._name(state))

    def promote(self, published: PublishedVersion, state: LearningState) -> bool:
        """Moves the alias from `state.version` to the version.

        Returns False if the gate refuses, or if somebody else has moved the alias.
        """
        history = self.repository.aliases(self.policy).history_of(self.promotion.alias)
        if any(change.version == published.version for change in history):  # moved before this job was killed
            return True
        verdict = self._verdict(published)
        if not self.promotion.promote or (verdict is not None and not verdict.promote):
            return False
        reason = f"learned from {counted(state.steps, 'steps')} of clients"
        if verdict is not None:
            reason += f"; {verdict.explanation}"
        while (aliases := self.repository.aliases(self.policy)).aliases.get(self.promotion.alias) in (
            state.version,
            published.version,
        ):
            try:
                self.repository.set_alias(
                    self.policy,
                    self.promotion.alias,
                    published.version,
                    actor=ACTOR,
                    reason=reason,
                    expected_generation=aliases.generation,
                )
            except Conflict:  # maybe another alias was changed
                continue
            return True
        return False

    def _before(self, state: LearningState) -> PublishedVersion | None:
        if state.newest_batches == state.batches:
            with suppress(NotFound):  # somebody removed it
                return self.repository.read(self.policy, state.newest)
        return self.repository.find_job(self.policy, self._name(state)) if self.job_id else None

    def _name(self, state: LearningState) -> str:
        return self.job_id and f"{self.job_id}.{state.batches}"

    def _verdict(self, published: PublishedVersion) -> GateVerdict | None:
        return self.repository.verdict_of(published) if verdicts.FIRST in published.files else None
