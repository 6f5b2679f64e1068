"""The crash matrix: kill -9 of each part at each phase of a job, and what must hold afterwards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import grpc

from policy_api.v1.gate_pb2 import GateConfig
from policy_api.v1.training_pb2 import (
    CancelTrainingJobRequest,
    CreateTrainingJobRequest,
    Promotion,
    TrainingJob,
    TrainingProgress,
    TrainingSpec,
    WatchTrainingJobRequest,
)
from tests.e2e.crash.system import DEADLINE, System

VICTIMS = ("worker", "trainer", "server", "everything")
# The phases of a job, in their order.
PHASES = ("QUEUED", "TRAINING", "EVALUATING", "EXPORTING", "COMPARING", "PUBLISHING", "PROMOTING")
ENDED = (TrainingJob.SUCCEEDED, TrainingJob.FAILED, TrainingJob.CANCELLED)
SETTINGS = {
    "total_timesteps": "20000",
    "n_envs": "8",
    "n_steps": "16",
    "candidates": "1",
    "evaluation_episodes": "10",
    "checkpoint_seconds": "0.2",
}


@dataclass(frozen=True)
class Outcome:
    """The result of one trial of one cell."""

    victim: str
    phase: str  # the phase that was to be hit
    died_in: str  # the phase in the table after the kill
    attempts: int
    seconds: float
    wrong: tuple[str, ...]  # conditions that do not hold; empty: all hold

    def __str__(self) -> str:
        what = f"died in {self.died_in}, {self.attempts} attempts, {self.seconds:.1f} s"
        return f"{self.victim} at {self.phase} ({what}): {'; '.join(self.wrong) or 'held'}"


def trial(
    system: System,
    victim: str,
    phase: str,
    *,
    delay: float = 0.0,
    env_id: str = "CartPole-v1",
    seed: int = 0,
) -> Outcome:
    """Runs a job that is hit once, `delay` seconds after its phase is seen."""
    if phase == "QUEUED":
        return _behind_another(system, victim, delay=delay, env_id=env_id, seed=seed)
    return _trial(system, victim, phase, delay=delay, env_id=env_id, seed=seed)


def _behind_another(system: System, victim: str, *, delay: float, env_id: str, seed: int) -> Outcome:
    """Submits the job behind another one.

    An idle trainer starts a job at once. This one stays queued behind the other, which is cancelled
    later.
    """
    endless = _spec("endless", env_id, seed)
    endless.settings["total_timesteps"] = "500000000"
    request = CreateTrainingJobRequest(spec=endless)
    blocker = system.trainer.CreateTrainingJob(request, wait_for_ready=True, timeout=60).job.job_id
    _wait_for(system, blocker, "TRAINING")
    return _trial(system, victim, "QUEUED", delay=delay, env_id=env_id, seed=seed, blocker=blocker)


def _trial(
    system: System, victim: str, phase: str, *, delay: float, env_id: str, seed: int, blocker: str = ""
) -> Outcome:
    policy = victim  # each job but the first is compared with a champion of the same policy
    request = CreateTrainingJobRequest(
        spec=_spec(policy, env_id, seed), request_id=f"{policy}-{phase}-{time.time_ns()}"
    )
    job_id = system.trainer.CreateTrainingJob(request, wait_for_ready=True, timeout=60).job.job_id
    _wait_for(system, job_id, phase)
    time.sleep(delay)
    system.kill(victim, blocker or job_id)
    died_in = system.phase(job_id)
    began = time.monotonic()
    system.restore()
    if blocker:
        cancel = CancelTrainingJobRequest(job_id=blocker)
        system.trainer.CancelTrainingJob(cancel, wait_for_ready=True, timeout=60)
    job = _end(system, job_id)
    # Repeats the request, as a client does that has lost the response.
    again = system.trainer.CreateTrainingJob(request, wait_for_ready=True, timeout=60).job
    wrong = (*_wrong(system, policy, job), *([] if again == job else ["the request made another job"]))
    return Outcome(victim, phase, died_in, job.attempts, time.monotonic() - began, wrong)


def table(outcomes: list[Outcome], victims: Sequence[str] = VICTIMS) -> str:
    """Trials that held, out of all, by phase and victim, and below that what did not hold."""
    lines = ["phase".ljust(12) + "".join(victim.rjust(14) for victim in victims)]
    for phase in PHASES:
        cells = []
        for victim in victims:
            trials = [o for o in outcomes if (o.victim, o.phase) == (victim, phase)]
            held = sum(not o.wrong for o in trials)
            hit = sum(o.died_in == phase for o in trials)
            cells.append(f"{held}/{len(trials)} ({hit} hit)" if trials else "-")
        lines.append(phase.ljust(12) + "".join(cell.rjust(14) for cell in cells))
    failures = [f"{o.victim} at {o.phase}: {'; '.join(o.wrong)}" for o in outcomes if o.wrong]
    return "\n".join([*lines, *failures])


def _spec(policy: str, env_id: str, seed: int) -> TrainingSpec:
    # Every policy is within this margin, so the gate plays, and then promotes.
    gate = GateConfig(criterion=GateConfig.NOT_WORSE, margin=1e6, block_episodes=10, max_episodes=10)
    return TrainingSpec(
        policy=policy,
        env_id=env_id,
        algorithm="a2c",
        seed=seed,
        settings=SETTINGS,
        promotion=Promotion(promote=True, gate=gate),
    )


def _wait_for(system: System, job_id: str, phase: str) -> None:
    if phase == "QUEUED":
        return  # the job is acknowledged; only the row in the table is known
    wanted = PHASES.index(phase)
    watch = system.trainer.WatchTrainingJob(WatchTrainingJobRequest(job_id=job_id), timeout=DEADLINE)
    with suppress(grpc.RpcError):  # a job that does not reach the phase in time is hit where it is
        for answer in watch:
            name = TrainingProgress.Phase.Name(answer.job.progress.phase)
            if answer.job.state in ENDED or (name in PHASES and PHASES.index(name) >= wanted):
                return


def _end(system: System, job_id: str) -> TrainingJob:
    ends = time.monotonic() + DEADLINE
    job = TrainingJob(job_id=job_id)
    while time.monotonic() < ends and job.state not in ENDED:
        try:
            watch = system.trainer.WatchTrainingJob(WatchTrainingJobRequest(job_id=job_id), timeout=DEADLINE)
            for answer in watch:
                job = answer.job
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise
    return job


def _wrong(system: System, policy: str, job: TrainingJob) -> list[str]:
    """The conditions that do not hold for a job that was hit."""
    if job.state not in ENDED:
        phase = TrainingProgress.Phase.Name(job.progress.phase)
        return [f"{TrainingJob.State.Name(job.state)} in {phase} after {DEADLINE:g} s"]
    if job.state != TrainingJob.SUCCEEDED:
        return [f"{TrainingJob.State.Name(job.state)} {job.failure.reason} {job.failure.message}"]
    wrong = []
    repository = system.repository
    versions = [repository.verify(policy, number) for number in repository.versions(policy)]
    mine = [version.version for version in versions if version.job_id == job.job_id]
    if mine != [job.result.version]:
        wrong.append(f"published {mine}, the job says {job.result.version}")
    state = repository.aliases(policy)
    promotions = [change for change in state.history if change.version == job.result.version]
    if not job.result.promoted or len(promotions) != 1 or state.aliases["champion"] != job.result.version:
        wrong.append(f"promoted {len(promotions)} times; {job.result.promotion_reason}")
    if left := system.leftovers():
        wrong.append(f"{len(left)} leftovers in staging")
    if left_over := system.workers(job.job_id):
        wrong.append(f"processes left: {left_over}")
    if (served := _served(system, policy, job.result.version)) != job.result.version:
        wrong.append(f"the server answers with version {served}")
    return wrong


def _served(system: System, policy: str, wanted: int) -> int:
    """The version that the server responds with, after a few of its polls at most.

    On S3 a new policy is unknown until the next listing.
    """
    served = 0
    for _ in range(50):
        try:
            aliases = {alias.name: alias.serving_version for alias in system.serving(policy).aliases}
        except grpc.RpcError as failure:
            if failure.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            aliases = {}
        if (served := aliases.get("champion", 0)) == wanted:
            break
        time.sleep(0.1)
    return served
