"""A folder watch tells of each change of an entry, and says where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_api.v1 import policy_pb2 as pb
from policyd_server.models.folder_watch import FolderWatch
from tests.policyd_server.process import Publish, ServerProcess, StartServer
from tests.waiting import until

LONG = 60.0  # seconds that no test takes


def _is_watched(folder: Path) -> bool:
    async def look() -> bool:
        with FolderWatch() as watch:
            return watch.watches([folder])

    return asyncio.run(look())


@pytest.fixture(autouse=True)
def local(tmp_path: Path) -> None:
    """Skips the test if temporary files are on a network."""
    if not _is_watched(tmp_path):
        pytest.skip("the file system of temporary files cannot be watched")


def _replace(folder: Path) -> None:
    (folder / "new").write_text("new")
    (folder / "new").rename(folder / "entry")


CHANGES: dict[str, Callable[[Path], object]] = {
    "made": lambda folder: (folder / "other").mkdir(),
    "replaced": _replace,
    "written": lambda folder: (folder / "entry").write_text("more"),
    "removed": lambda folder: (folder / "entry").unlink(),
    "forbidden": lambda folder: (folder / "entry").chmod(0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_told(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """The wait ends long before its time."""
    (tmp_path / "entry").write_text("old")

    async def wait() -> None:
        with FolderWatch() as watch:
            assert watch.watches([tmp_path])
            change(tmp_path)
            async with asyncio.timeout(LONG):
                await watch.changed(2 * LONG)

    asyncio.run(wait())


def _read_all(folder: Path) -> list[str]:
    return [entry.read_text() for entry in folder.iterdir()]


def test_without_a_change_the_time_passes(tmp_path: Path) -> None:
    """Reading a folder ends no wait."""
    (tmp_path / "entry").write_text("old")

    async def wait() -> float:
        with FolderWatch() as watch:
            watch.watches([tmp_path])
            await asyncio.to_thread(_read_all, tmp_path)
            begin = asyncio.get_running_loop().time()
            await watch.changed(0.05)
            return asyncio.get_running_loop().time() - begin

    assert asyncio.run(wait()) >= 0.05


def test_what_cannot_be_watched_is_said() -> None:
    """The kernel's own files and a missing path cannot be watched. A future folder can."""
    assert not _is_watched(Path("/proc/self"))

    async def look(*folders: Path) -> bool:
        with FolderWatch() as watch:
            return watch.watches(folders)

    assert not asyncio.run(look())


def test_a_folder_that_is_not_there_yet_is_no_obstacle(tmp_path: Path) -> None:
    """The folder above it reports when it appears."""
    assert _is_watched(tmp_path / "aliases")


def test_a_promotion_by_another_process_needs_no_poll(publish: Publish, start_server: StartServer) -> None:
    """A server that polls once per hour serves what others promote, also a new policy."""
    publish("first")
    server = start_server("--poll-interval", "3600")
    publish("first")
    publish("second")
    until(lambda: "second" in _champions(server), lambda: server.log)
    until(lambda: _champions(server)["first"] != 1, lambda: server.log)
    assert _champions(server) == {"first": 2, "second": 1}


def _champions(server: ServerProcess) -> dict[str, int]:
    """The version that responds, by policy."""
    there = server.policy.ListPolicies(pb.ListPoliciesRequest(), timeout=60).policies
    return {
        policy.name: alias.serving_version
        for policy in there
        for alias in policy.aliases
        if alias.name == "champion"
    }
