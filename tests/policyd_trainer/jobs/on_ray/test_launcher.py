"""Without a cluster: what is refused, what is waited for. With one: tests/e2e/ray."""

import asyncio
import logging
from pathlib import Path

import pytest

from policy_api.v1.training_pb2 import JobResources, TrainingJob
from policyd.errors import InvalidArgument
from policyd_trainer.jobs.launcher import Attempted
from policyd_trainer.jobs.local import LocalLauncher
from policyd_trainer.jobs.on_ray.launcher import RayLauncher
from policyd_trainer.jobs.on_ray.worker import RayWorker, actor_name, ray_options

NOWHERE = "127.0.0.1:1"  # nothing listens there


def attempted(folder: Path, **fields: object) -> Attempted:
    job = TrainingJob(job_id="cartpole-1", attempts=2, **fields)  # type: ignore[arg-type]
    return Attempted(job, ["python", "-m", "policyd_trainer"], folder / "cartpole-1", ran=3.0)


def test_resources_become_ray_options() -> None:
    """Each resource is passed on under Ray's name.

    A job that asks for nothing reserves one processor.
    """
    asked = JobResources(cpus=2, gpus=0.5, memory_bytes=10**9, labels={"zone": "a"})
    assert ray_options(asked) == {
        "num_cpus": 2,
        "num_gpus": 0.5,
        "memory": 10**9,
        "label_selector": {"zone": "a"},
    }
    assert ray_options(JobResources())["num_cpus"] == 1


@pytest.mark.parametrize("field", ["cpus", "gpus", "memory_bytes"])
def test_impossible_resources_are_refused(field: str) -> None:
    """The error names the field."""
    asked = JobResources()
    setattr(asked, field, -1)
    with pytest.raises(InvalidArgument, match=f"resources.{field}"):
        RayLauncher(NOWHERE, "test").check(asked)


def test_a_trainer_without_a_cluster_refuses_resources() -> None:
    """Resources would have no effect without a cluster, so such a request is an error."""
    LocalLauncher().check(JobResources())
    with pytest.raises(InvalidArgument, match="--launcher ray"):
        LocalLauncher().check(JobResources(gpus=1))


def worker_of(tmp_path: Path) -> tuple[RayWorker, list[dict[str, object]]]:
    orders: list[dict[str, object]] = []
    worker = RayWorker(
        attempted(tmp_path), lambda order: orders.append(dict(order)), is_new=True, release=lambda _: None
    )
    return worker, orders


def test_a_new_bridge_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    """Lines that were seen are not sent again, and a line that comes twice counts once."""

    async def test() -> None:
        worker, orders = worker_of(tmp_path)
        worker.follow()
        assert orders[-1]["start"] is not None
        worker.hear({"started": 7, "ran": 3.5})
        line = '{"progress": {"phase": "TRAINING", "fraction": 0.5}}'
        worker.hear({"number": 1, "line": line})
        worker.follow()
        assert (orders[-1]["seen"], orders[-1]["start"]) == (1, None)
        worker.hear({"started": 7, "ran": 4.5})
        worker.hear({"number": 1, "line": line})
        worker.hear({"number": 2, "line": '{"result": {"version": 1}}'})
        worker.hear({"ended": 0})
        kinds = [event.WhichOneof("event") async for event in worker.events()]
        assert kinds == ["progress", "result"]
        assert (await worker.started(), await worker.wait(), worker.lost, worker.pid) == (3.5, 0, "", 7)

    asyncio.run(test())


def test_a_cancel_before_the_start_is_remembered(tmp_path: Path) -> None:
    """A waiting worker is removed from the queue. One that is just starting is ended."""

    async def test() -> None:
        worker, orders = worker_of(tmp_path)
        worker.follow()
        worker.end()
        worker.hear({"started": 7, "ran": 3.0})
        assert [order["do"] for order in orders] == ["follow", "kill", "signal"]

    asyncio.run(test())


def test_a_lost_worker_says_why(tmp_path: Path) -> None:
    """No call waits for it any more, and its run time does not grow."""

    async def test() -> None:
        worker, _ = worker_of(tmp_path)
        worker.hear({"gone": "its node died"})
        assert [event async for event in worker.events()] == []
        assert (await worker.started(), await worker.wait(), worker.lost) == (3.0, 1, "its node died")

    asyncio.run(test())


def test_each_attempt_has_an_actor_of_its_own(tmp_path: Path) -> None:
    """An attempt never follows the actor of an earlier one."""
    assert actor_name(attempted(tmp_path)) == "cartpole-1.2"


def test_a_bridge_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why. The jobs wait for a bridge instead of for ever."""
    monkeypatch.setattr("policyd_trainer.jobs.on_ray.launcher._AGAIN", 0.01)
    monkeypatch.setattr("sys.executable", str(tmp_path / "nothing"))

    async def test() -> None:
        told = asyncio.Event()

        def noted(_: logging.LogRecord) -> bool:
            told.set()
            return True

        caplog.handler.addFilter(noted)
        launcher = RayLauncher(NOWHERE, "test")
        await launcher.start(attempted(tmp_path))
        async with asyncio.timeout(60):
            await told.wait()
        assert launcher._keeper is not None
        assert not launcher._keeper.done()
        await launcher.close()

    asyncio.run(test())
    assert "FileNotFoundError" in caplog.text
