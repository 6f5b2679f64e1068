"""The outcome of a training job: a word and an exit code for CI, lines for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policy_api.v1.gate_pb2 import GateVerdict
from policy_api.v1.training_pb2 import TrainingJob, TrainingSpec
from policyd.cli import progress
from policyd.cli.exits import Exit, exit_of
from policyd.cli.message_json import as_json
from policyd.cli.times import moment
from policyd.counted import counted
from policyd.errors import PolicydError

#: The word for each exit code, as `--json` prints it.
WORDS = {
    Exit.OK: "promoted",
    Exit.FAILED: "refused",
    Exit.BAD_REQUEST: "bad_request",
    Exit.GATE_REFUSED: "gate_refused",
    Exit.CANNOT_TELL: "cannot_tell",
    Exit.JOB_FAILED: "job_failed",
    Exit.JOB_CANCELLED: "job_cancelled",
    Exit.TIMED_OUT: "timed_out",
    Exit.UNREACHABLE: "unreachable",
}


_UNDECIDED = (GateVerdict.OUTCOME_CANNOT_TELL, GateVerdict.OUTCOME_NOT_COMPARABLE)


@dataclass(frozen=True)
class Outcome:
    """How one `policyctl retrain` ended."""

    code: Exit
    #: As in WORDS; `published` where promotion was not asked for, `queued` without --wait.
    word: str
    #: One line for people.
    message: str
    #: The job as far as it is known. None: it was never created.
    job: TrainingJob | None = None

    @classmethod
    def of(cls, job: TrainingJob) -> Outcome:
        """Returns the outcome of a job that has ended, or that the command did not wait for."""
        if job.state == TrainingJob.SUCCEEDED:
            return _of_success(job)
        if job.state == TrainingJob.FAILED:
            return cls(Exit.JOB_FAILED, "job_failed", f"{job.failure.reason}: {job.failure.message}", job)
        if job.state == TrainingJob.CANCELLED:
            return cls(Exit.JOB_CANCELLED, "job_cancelled", "the job was cancelled", job)
        return cls(Exit.OK, "queued", f"the job is {progress.phase(job)}", job)

    @classmethod
    def of_error(cls, error: PolicydError, job: TrainingJob | None) -> Outcome:
        """Returns the outcome of an error that ended the command before the job was done."""
        code = exit_of(error)
        return cls(code, WORDS[code], f"{error.reason}: {error.message}", job)

    def document(self) -> dict[str, Any]:
        """The outcome as a JSON document, described in docs/guide/ci.md."""
        job = self.job or TrainingJob()
        return {
            "outcome": self.word,
            "exit_code": int(self.code),
            "message": self.message,
            "job_id": job.job_id or None,
            "request_id": job.request_id or None,
            "policy": job.spec.policy or None,
            "version": job.result.version or None,
            "version_path": job.result.version_path or None,
            "promoted": job.result.promoted,
            "job": None if self.job is None else as_json(self.job),
        }


def _of_success(job: TrainingJob) -> Outcome:
    reason = job.result.promotion_reason
    if job.result.promoted:
        return Outcome(Exit.OK, "promoted", reason or "promoted", job)
    if not job.spec.promotion.promote:
        return Outcome(Exit.OK, "published", "published; promotion was not asked for", job)
    if job.result.verdict.outcome in _UNDECIDED:
        return Outcome(Exit.CANNOT_TELL, "cannot_tell", reason or "the evidence does not tell", job)
    return Outcome(Exit.GATE_REFUSED, "gate_refused", reason or "the gate keeps the champion", job)


def text(job: TrainingJob) -> str:
    """Returns a few lines about the job's state or end."""
    spec = job.spec
    lines = [
        f"job {job.job_id}: {progress.phase(job)}",
        f"  {_what(spec)}, policy {spec.policy}, seed {spec.seed}",
    ]
    if asked := _asked(job):
        lines.append(f"  {asked}")
    if described := progress.describe(job):
        lines.append(f"  {described}")
    if job.HasField("result"):
        lines.extend(_result(job))
    if job.HasField("failure"):
        lines.append(f"  {job.failure.reason}: {job.failure.message}")
        lines.extend(f"    {line}" for line in job.failure.log_tail)
    return "\n".join(lines)


def _asked(job: TrainingJob) -> str:
    """Returns who asked for the job, when, and how long it took; empty if none of this is known."""
    parts = [f"by {job.requested_by}"] if job.requested_by else []
    if job.HasField("create_time"):
        parts.append(f"created {moment(job.create_time)}")
    if job.HasField("start_time"):
        parts.append(f"took {progress.duration(job)}")
    return ", ".join(parts)


def _what(spec: TrainingSpec) -> str:
    """Returns the algorithm and what it learns from, as text."""
    if spec.source != TrainingSpec.EXPERIENCE:
        return f"{spec.algorithm} on {spec.env_id}"
    gate = f", gated on {spec.env_id}" if spec.env_id else ""
    return f"{spec.algorithm or 'as its version'} from clients{gate}"


def _result(job: TrainingJob) -> list[str]:
    result = job.result
    greedy, sampled = result.evaluation.greedy, result.evaluation.sampled
    figures = f"greedy {greedy.mean:.1f} ±{greedy.std:.1f}, sampled {sampled.mean:.1f} ±{sampled.std:.1f}"
    return [
        f"  published version {result.version} ({result.digest[:12]}) in {result.version_path}",
        *(
            [f"  mean return over {counted(greedy.episodes, 'episodes')}: {figures}"]
            if greedy.episodes
            else []
        ),
        f"  {result.promotion_reason or ('promoted' if result.promoted else 'not promoted')}",
    ]
