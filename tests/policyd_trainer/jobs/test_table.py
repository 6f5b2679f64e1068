"""The jobs' table: idempotent creation, pages, and transitions of which one wins."""

import itertools

import pytest

from policy_api.v1.training_pb2 import (
    LearningProgress,
    TrainingFailure,
    TrainingProgress,
    TrainingResult,
    TrainingSpec,
)
from policyd import errors
from policyd_trainer.jobs import states
from policyd_trainer.jobs.table import JobTable

SPEC = TrainingSpec(policy="cartpole", env_id="CartPole-v1", algorithm="a2c", settings={"gamma": "0.9"})


def _create(table: JobTable, request_id: str = "", spec: TrainingSpec = SPEC) -> str:
    return table.create(spec, request_id=request_id, max_queued=100).job_id


def test_a_new_job_is_queued(table: JobTable) -> None:
    """A new job can be read with its spec, state and time."""
    job = table.get(_create(table, "request"))
    assert (job.spec, job.state, job.request_id, job.attempts) == (SPEC, states.QUEUED, "request", 0)
    assert job.HasField("create_time")
    assert not job.HasField("start_time")
    assert not job.HasField("progress")


def test_a_request_id_makes_one_job(table: JobTable) -> None:
    """The same id and spec return the same job. Another spec is refused. No id: a new job."""
    job_id = _create(table, "request")
    assert _create(table, "request") == job_id
    with pytest.raises(errors.AlreadyExists, match=job_id):
        _create(table, "request", TrainingSpec(policy="cartpole", seed=1))
    assert len({_create(table), _create(table), job_id}) == 3


def test_the_queue_is_bounded(table: JobTable) -> None:
    """Beyond the bound a request is refused with a delay. A known request gets its job."""
    table.create(SPEC, request_id="a", max_queued=1)
    with pytest.raises(errors.Exhausted) as refused:
        table.create(SPEC, request_id="b", max_queued=1)
    assert refused.value.retry_after > 0
    assert table.create(SPEC, request_id="a", max_queued=1).request_id == "a"


def test_pages_are_newest_first(table: JobTable) -> None:
    """Pages follow each other without gap or repetition, also for one policy."""
    created = [_create(table, spec=TrainingSpec(policy=policy)) for policy in "ababa"]
    first, before = table.page(policy="", size=3, before=None)
    second, end = table.page(policy="", size=3, before=before)
    assert [job.job_id for job in first + second] == created[::-1]
    assert end is None
    only, _ = table.page(policy="b", size=10, before=None)
    assert [job.job_id for job in only] == [created[3], created[1]]


def test_an_unknown_job_is_not_found(table: JobTable) -> None:
    """The errors for reading and cancelling name the job."""
    with pytest.raises(errors.NotFound, match="nobody"):
        table.get("nobody")
    with pytest.raises(errors.NotFound, match="nobody"):
        table.request_cancel("nobody")


def test_claims_are_first_in_first_out(table: JobTable) -> None:
    """The oldest queued job runs first. A requeued job keeps its place."""
    first, second = _create(table), _create(table)
    claimed = table.claim()
    assert claimed is not None
    assert (claimed.job_id, claimed.state, claimed.attempts) == (first, states.RUNNING, 1)
    started = claimed.start_time
    assert table.requeue(first)
    again = table.claim()
    assert again is not None
    assert (again.job_id, again.attempts, again.start_time) == (first, 2, started)
    assert (other := table.claim()) is not None
    assert other.job_id == second
    assert table.claim() is None


def test_only_legal_transitions_happen(table: JobTable) -> None:
    """From each state, exactly the transitions of the contract succeed."""
    moves = {
        states.SUCCEEDED: lambda job: table.succeed(job, TrainingResult(version=1)),
        states.FAILED: lambda job: table.fail(job, TrainingFailure(reason="X")),
        states.CANCELLED: table.cancelled,
        states.QUEUED: table.requeue,
    }
    starts = {states.QUEUED: [], states.RUNNING: [states.RUNNING]}
    starts |= {states.CANCELLING: [states.RUNNING, states.CANCELLING]}
    for state, target in itertools.product(starts, moves):
        job = _create(table)
        while starts[state] and (claimed := table.claim()) is not None and claimed.job_id != job:
            pass
        if state == states.CANCELLING:
            table.request_cancel(job)
        assert table.get(job).state == state
        if target == states.CANCELLED and state == states.QUEUED:
            continue  # request_cancel does this
        legal = state in states.SOURCES[target]
        assert moves[target](job) is legal
        ended = table.get(job)
        assert ended.state == (target if legal else state)
        assert ended.HasField("end_time") is (ended.state in states.TERMINAL)


def test_terminal_states_stay(table: JobTable) -> None:
    """A cancel after the end changes nothing. A cancel before the end decides."""
    job = _create(table)
    table.claim()
    assert table.succeed(job, TrainingResult(version=1))
    assert table.request_cancel(job).state == states.SUCCEEDED
    assert not table.fail(job, TrainingFailure())
    assert table.request_cancel(queued := _create(table)).state == states.CANCELLED
    assert table.claim() is None
    assert not table.requeue(queued)


def test_a_failure_is_kept_without_control_characters(table: JobTable) -> None:
    """Colours, bells, direction marks and line ends are replaced, as people read the text."""
    job = _create(table)
    table.claim()
    hostile = "\x1b[31mred\x1b[0m \x07 \u202eturned\u2066 one\ntwo\r\x9b2J"
    assert table.fail(job, TrainingFailure(reason="X\x1b", message=hostile, log_tail=[hostile, "a\tb"]))
    failure = table.get(job).failure
    assert failure.message == r"\x1b[31mred\x1b[0m \x07 \u202eturned\u2066 one\ntwo\r\x9b2J"
    assert failure.reason == r"X\x1b"
    assert list(failure.log_tail) == [failure.message, "a       b"]


def test_progress_makes_an_attempt_fruitful(table: JobTable) -> None:
    """Attempts count as fruitless until one gets further than all before it."""
    job = _create(table)
    counts = []
    for fraction in (0.2, 0.2, 0.1, 0.5, 0.5):
        table.claim()
        table.accounts.progressed(job, TrainingProgress(fraction=fraction))
        counts.append(table.accounts.of(job).fruitless_attempts)
        table.requeue(job)
    assert counts == [1, 2, 3, 1, 2]
    table.claim()
    table.requeue(job, uncounted=True)
    assert table.accounts.of(job).fruitless_attempts == 2
    assert table.get(job).progress.fraction == 0.5


def test_a_job_without_an_end_takes_no_other_jobs_turn(table: JobTable) -> None:
    """Each kind is claimed separately and has a queue of its own."""
    endless = table.create(
        TrainingSpec(policy="cartpole", source=TrainingSpec.EXPERIENCE), request_id="", max_queued=100
    )
    first, second = _create(table), _create(table)
    assert table.get(endless.job_id).queue_place == 1
    assert table.get(second).queue_place == 2
    claimed = table.claim()
    assert claimed is not None
    assert claimed.job_id == first
    assert list(table.get(endless.job_id).waits_for) == []
    learning = table.claim(continuous=True)
    assert learning is not None
    assert learning.job_id == endless.job_id
    assert table.claim(continuous=True) is None
    assert list(table.get(second).waits_for) == [first]


def test_a_batch_more_makes_an_attempt_fruitful(table: JobTable) -> None:
    """A job without an end has no fraction, so its batches show progress."""
    job = table.create(
        TrainingSpec(policy="cartpole", source=TrainingSpec.EXPERIENCE), request_id="", max_queued=100
    ).job_id
    counts = []
    for batches in (1, 1, 1, 2, 2):
        table.claim(continuous=True)
        table.accounts.progressed(job, TrainingProgress(learning=LearningProgress(batches=batches)))
        counts.append(table.accounts.of(job).fruitless_attempts)
        table.requeue(job)
    assert counts == [1, 2, 3, 1, 2]
