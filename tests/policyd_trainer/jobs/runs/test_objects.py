"""Runs on disk and in object storage: the same answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from policyd.repository.object_client import ObjectClient
from policyd.repository.object_url import child, open_objects
from policyd_trainer.jobs.runs import LogReader, Runs
from policyd_trainer.jobs.runs import objects as module
from policyd_trainer.jobs.runs.folder import FolderRuns
from policyd_trainer.jobs.runs.objects import ObjectRuns
from tests.stores import NAMES, StoreServer


class Place(ABC):
    """A place of runs, and the files that workers leave there."""

    runs: Runs

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Replaces a file of the run `job`."""


class Folder(Place):
    """A place on disk."""

    def __init__(self, root: Path) -> None:
        self.runs, self._root = FolderRuns(root), root

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        path = self._root / "job" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class Objects(Place):
    """A place in object storage."""

    def __init__(self, client: ObjectClient) -> None:
        self.runs, self._client = ObjectRuns(client), client

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        self._client.put(f"job/{name}", content)


@pytest.fixture(params=["folder", "memory", *NAMES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Folder(tmp_path / "runs")
    if request.param == "memory":
        return Objects(ObjectClient(MemoryStore(), "memory://test"))
    server: StoreServer = request.getfixturevalue(request.param)
    return Objects(open_objects(server.location()))


def rest(reader: LogReader) -> bytes:
    """All pieces that exist now."""
    return b"".join(iter(reader.next, b""))


def test_a_log_is_followed_and_outlives_the_rest(place: Place) -> None:
    """New content is read once. At the end only the log is kept, until the run is removed."""
    runs = place.runs
    assert (runs.job_ids(), runs.has_log("job"), runs.log_tail("job")) == ([], False, [])
    reader = runs.log("job")
    assert rest(reader) == b""
    lines = [b"%d\n" % number for number in range(30)]
    place.write("worker.log", b"".join(lines[:10]))
    assert rest(reader) == b"".join(lines[:10])
    place.write("worker.log", b"".join(lines))
    assert rest(reader) == b"".join(lines[10:])
    reader.close()
    assert runs.log_tail("job") == [str(number) for number in range(10, 30)]
    place.write("checkpoint.pkl", b"state")
    place.write("tensorboard/events", b"events")
    runs.keep_log("job")
    assert (runs.job_ids(), runs.has_log("job")) == (["job"], True)
    assert rest(runs.log("job")) == b"".join(lines)
    runs.remove("job")
    assert (runs.job_ids(), runs.has_log("job")) == ([], False)


def test_a_name_is_kept(place: Place) -> None:
    """The first name is kept for all callers."""
    assert place.runs.name_once("namespace", "first") == "first"
    assert place.runs.name_once("namespace", "second") == "first"
    assert place.runs.job_ids() == []


def test_a_log_that_was_begun_anew_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The full log became FILE.1 between two reads: nothing is repeated or left out."""
    monkeypatch.setattr(module, "PIECE", 4)
    place = Objects(ObjectClient(MemoryStore(), "memory://test"))
    place.write("worker.log", b"first\n")
    reader = place.runs.log("job")
    assert rest(reader) == b"first\n"
    place.write("worker.log.1", b"first\nsecond\n")
    place.write("worker.log", b"3\n")
    assert rest(reader) == b"second\n3\n"
    assert rest(place.runs.log("job")) == b"first\nsecond\n3\n"


def test_urls_of_runs_keep_their_settings() -> None:
    """The settings stay at the end of the URL."""
    url = "s3://bucket/prefix?endpoint=http://127.0.0.1:1"
    assert child(url, "runs") == "s3://bucket/prefix/runs?endpoint=http://127.0.0.1:1"
    assert child("gs://bucket/", "runs") == "gs://bucket/runs"


def test_two_may_remove_the_same_run(place: Place) -> None:
    """Removing a run is no error if another task removes it, too, or has done so."""
    for _ in range(20):
        for number in range(30):
            place.write(f"file-{number}", b"x")
        with ThreadPoolExecutor() as pool:
            list(pool.map(place.runs.remove, ["job"] * 3))
        assert place.runs.job_ids() == []
