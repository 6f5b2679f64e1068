"""What runs on a machine of the cluster, here without one: the class that Ray makes an actor of."""

import asyncio
import os
import select
import signal
import sys
from pathlib import Path

import pytest

from policyd_trainer.jobs.on_ray.order import SHARED
from policyd_trainer.jobs.runs import open_runs
from tests.policyd_trainer.jobs.room import STAND_IN
from tests.s3 import S3Server
from tests.waiting import PATIENCE

pytest.importorskip("ray", reason="the extra `ray` is not installed: jobs on Ray were NOT tested")

from policyd_trainer.jobs.on_ray.actor import JobActor


def actor(folder: Path | str, behaviour: str) -> JobActor:
    command = [sys.executable, str(STAND_IN), behaviour, str(folder)]
    order = {"job_id": f"job-{os.getpid()}", "command": command, "run_dir": str(folder)}
    return JobActor({**order, "call_id": "", "ran": 5.0})


async def told(ray_actor: JobActor) -> tuple[list[str], int]:
    """All lines until the end, and the exit code."""
    lines, seen, code = [], 0, None
    while code is None:
        new, code = await ray_actor.lines(seen)
        lines += [line for _, line in new]
        seen = new[-1][0] if new else seen
    return lines, code


def test_lines_are_kept_until_they_were_read(tmp_path: Path) -> None:
    """A trainer that connects later gets the newest progress, the result and the ending.

    Other output is in the log.
    """
    (tmp_path / SHARED).touch()

    async def test() -> None:
        ray_actor = actor(tmp_path, "succeed")
        # A bridge that is started while the last one's call is still running asks again.
        (pid, ran), (again, _) = await asyncio.gather(ray_actor.begin(), ray_actor.begin())
        assert pid == again > 0
        assert ran >= 5.0
        assert await ray_actor.begin() >= (pid, ran)  # it has begun only once
        await told(ray_actor)
        lines, code = await told(ray_actor)  # by another trainer
        assert code == 0
        assert [line.split('"')[1] for line in lines] == ["progress", "result", "ending"]
        assert '"fraction": 0.8' in lines[0]

    asyncio.run(test())
    assert "an environment that prints" in (tmp_path / "worker.log").read_text()


def test_a_signal_reaches_the_guardian(tmp_path: Path) -> None:
    """The worker and its child in another session are ended, and the guardian reports that."""
    (tmp_path / SHARED).touch()

    async def test() -> None:
        ray_actor = actor(tmp_path, "daemon")
        await ray_actor.begin()
        await ray_actor.lines(0)
        daemon = os.pidfd_open(int((tmp_path / "child").read_text()))
        await ray_actor.send_signal(signal.SIGUSR1)
        lines, _ = await told(ray_actor)
        assert "leftovers" in lines[-1]
        assert select.select([daemon], [], [], PATIENCE)[0] == [daemon]  # it has ended
        os.close(daemon)

    asyncio.run(test())


def test_a_folder_that_is_not_shared_is_a_failure(tmp_path: Path) -> None:
    """Other machines could not read the checkpoint.

    The job says so at once.
    """

    async def test() -> None:
        ray_actor = actor(tmp_path, "succeed")
        await ray_actor.begin()
        lines, code = await told(ray_actor)
        assert code == 1
        assert "RUNS_NOT_SHARED" in lines[0]
        assert str(tmp_path) in lines[0]

    asyncio.run(test())


def test_machines_that_share_no_folder_go_on_with_a_run(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt gets 0.2 further than the last in object storage, and then dies.

    The log of all attempts is there, and nothing is left on the machines.
    """
    runs = open_runs(s3.location())
    url = str(runs.of("job"))
    codes = []
    for machine in range(5):
        (folder := tmp_path / str(machine)).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(folder))

        async def attempt() -> tuple[list[str], int]:
            ray_actor = actor(url, "die_further")
            await ray_actor.begin()
            return await told(ray_actor)

        lines, code = asyncio.run(attempt())
        codes.append(code)
        assert f'"fraction": {(machine + 1) / 5}' in lines[0]
        assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert codes == [137, 137, 137, 137, 0]
    assert runs.has_log("job")
    runs.keep_log("job")
    assert runs.job_ids() == ["job"]
    runs.remove("job")
    assert runs.job_ids() == []


def test_a_machine_without_access_is_a_failure(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job ends at once, and says which machine may not read the store."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")

    async def test() -> None:
        ray_actor = actor(s3.location(), "succeed")
        await ray_actor.begin()
        lines, code = await told(ray_actor)
        assert code == 1
        assert "STORE_DENIED" in lines[0]
        assert "another-secret" not in lines[0]

    asyncio.run(test())
