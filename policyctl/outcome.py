"""What became of a training job: a word and an exit code for CI, lines for people."""

from __future__ import annotations

from policy_api.v1.training_pb2 import TrainingJob
from policyctl import progress
from policyctl.exits import Exit

_BY_STATE = {
    TrainingJob.FAILED: Exit.JOB_FAILED,
    TrainingJob.CANCELLED: Exit.JOB_CANCELLED,
}


def exit_of(job: TrainingJob) -> Exit:
    """The exit code of a job that has ended."""
    if job.state != TrainingJob.SUCCEEDED:
        return _BY_STATE.get(job.state, Exit.FAILED)
    wanted = job.spec.promotion.promote
    return Exit.OK if job.result.promoted or not wanted else Exit.GATE_REFUSED


def text(job: TrainingJob) -> str:
    """A few lines that say how the job stands or how it ended."""
    head = f"job {job.job_id}: {progress.phase(job)}"
    lines = [
        head,
        f"  {job.spec.algorithm} on {job.spec.env_id}, policy {job.spec.policy}, seed {job.spec.seed}",
    ]
    if described := progress.describe(job):
        lines.append(f"  {described}")
    if job.HasField("result"):
        lines.extend(_result(job))
    if job.HasField("failure"):
        lines.append(f"  {job.failure.reason}: {job.failure.message}")
        lines.extend(f"    {line}" for line in job.failure.log_tail)
    return "\n".join(lines)


def _result(job: TrainingJob) -> list[str]:
    result = job.result
    greedy, sampled = result.evaluation.greedy, result.evaluation.sampled
    figures = f"greedy {greedy.mean:.1f} ±{greedy.std:.1f}, sampled {sampled.mean:.1f} ±{sampled.std:.1f}"
    verdict = "promoted" if result.promoted else "not promoted"
    reason = f": {result.promotion_reason}" if result.promotion_reason else ""
    return [
        f"  published version {result.version} ({result.digest[:12]}) in {result.version_path}",
        f"  mean return over {greedy.episodes} episodes: {figures}",
        f"  {verdict}{reason}",
    ]
