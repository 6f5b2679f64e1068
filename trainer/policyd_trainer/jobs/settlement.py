"""What becomes of a job when an attempt at it has ended."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from policy_api.v1.training_pb2 import TrainingFailure, TrainingJob, TrainingResult
from policyd.errors import CorruptArtifact, NotFound, PolicydError
from policyd.repository import AliasState, ModelRepository, PublishedVersion
from policyd_trainer.guardian.watch import during, how
from policyd_trainer.jobs import states
from policyd_trainer.jobs.attempt import Ending
from policyd_trainer.jobs.runs import Runs
from policyd_trainer.jobs.store import JobStore

_LOG = logging.getLogger(__name__)


class Settlement:
    """Moves jobs to their next state, by how their workers ended and what was published."""

    def __init__(self, store: JobStore, repository: ModelRepository, runs: Runs, max_attempts: int) -> None:
        self._store = store
        self._repository = repository
        self._runs = runs
        self._max_attempts = max_attempts

    async def settle(self, job_id: str, ending: Ending, *, uncounted: bool = False) -> None:
        """Ends the job or queues it again. If that was done before, it changes nothing.

        `uncounted`: the attempt does not count as fruitless, because the trainer is stopping.
        """
        if not await self._moved_on(job_id, ending, uncounted=uncounted):
            await self.finish_cancel(job_id)
        job = await self._store.read(self._store.table.get, job_id)
        try:
            await asyncio.to_thread(self._clean_up, job)
        except (OSError, PolicydError) as error:  # the next sweep and `Retention` remove it later
            _LOG.warning("job %s: what it left behind is not removed yet: %s", job_id, error)

    async def finish_cancel(self, job_id: str) -> None:
        """Moves CANCELLING to CANCELLED, or to SUCCEEDED if the job has already published.

        A job in another state stays as it is.
        """
        table, repository = self._store.table, self._repository
        job = await self._store.read(table.get, job_id)
        if job.state != states.CANCELLING:
            return
        find = last_of_continuous if states.is_continuous(job.spec) else find_of_job
        published = await asyncio.to_thread(find, repository, job)
        if published is None:
            await self._store.change(job_id, table.cancelled, job_id)
            return
        state = await asyncio.to_thread(repository.aliases, job.spec.policy)
        alias = job.spec.promotion.alias or "champion"
        result = result_of(published, state, alias)
        await self._store.change(job_id, table.succeed, job_id, result)

    async def _moved_on(self, job_id: str, ending: Ending, *, uncounted: bool) -> bool:
        table, change, last = self._store.table, self._store.change, ending.last
        if last.HasField("result"):
            return await change(job_id, table.succeed, job_id, last.result)
        tail = await asyncio.to_thread(self._runs.log_tail, job_id)
        if last.HasField("failure"):
            failure = TrainingFailure()
            failure.CopyFrom(last.failure)
            failure.log_tail[:] = last.failure.log_tail or tail
            return await change(job_id, table.fail, job_id, failure)
        books = await self._store.read(table.accounts.of, job_id)
        if uncounted or books.fruitless_attempts < self._max_attempts:
            return await change(job_id, table.requeue, job_id, uncounted=uncounted)
        job = await self._store.read(table.get, job_id)
        return await change(job_id, table.fail, job_id, worker_died(ending, job.attempts, tail))

    def _clean_up(self, job: TrainingJob) -> None:
        self._repository.sweep()
        if job.state in (states.SUCCEEDED, states.CANCELLED):  # the checkpoint of a failed job is kept, too
            self._runs.keep_log(job.job_id)


def find_of_job(repository: ModelRepository, job: TrainingJob) -> PublishedVersion | None:
    """The version that a job published; None if there is none."""
    return repository.find_job(job.spec.policy, job.job_id)


def last_of_continuous(repository: ModelRepository, job: TrainingJob) -> PublishedVersion | None:
    """The newest version that a continuous job published; None if there is none.

    Each of its versions has a job id of its own: the job's, a dot, and the number of its last
    batch.
    """
    with suppress(NotFound):
        for number in reversed(repository.versions(job.spec.policy)):
            with suppress(CorruptArtifact, NotFound):
                published = repository.read(job.spec.policy, number)
                if published.job_id.startswith(f"{job.job_id}."):
                    return published
    return None


def result_of(published: PublishedVersion, state: AliasState, alias: str) -> TrainingResult:
    """The result of a job that was cancelled after it had published."""
    promoted = state.aliases.get(alias) == published.version
    ending = f"{alias} names it" if promoted else f"it was cancelled before {alias} was pointed at it"
    return TrainingResult(
        policy=published.policy,
        version=published.version,
        digest=published.digest,
        evaluation=published.metadata.evaluation,
        promoted=promoted,
        promotion_reason=f"published when it was cancelled; {ending}",
        generation=state.generation if promoted else 0,
        version_path=published.path,
    )


def worker_died(ending: Ending, attempts: int, log_tail: list[str]) -> TrainingFailure:
    """The failure of a job whose workers died again and again without progress."""
    if ending.lost:
        told = f"was lost: {ending.lost}"
    elif ending.exit_code is None:
        told = "ended together with the trainer"
    else:
        told = f"{how(ending.exit_code)}{during(ending.call)}, without a result"
    message = f"the worker {told}; attempts: {attempts}, the last ones without progress"
    return TrainingFailure(reason="WORKER_DIED", message=message, log_tail=log_tail)
