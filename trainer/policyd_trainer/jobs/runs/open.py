"""From a location to the runs that it holds."""

from __future__ import annotations

from pathlib import Path

from policyd_trainer.jobs.runs.folder import FolderRuns
from policyd_trainer.jobs.runs.interface import Runs


def open_runs(where: Path | str) -> Runs:
    """The runs in a folder or at a URL.

    Raises:
        InvalidArgument: the URL is wrong.
        FailedPrecondition: the package for it is not installed.
    """
    if isinstance(where, Path):
        return FolderRuns(where)
    from policyd.repository.object_url import open_objects  # noqa: PLC0415 -- an extra
    from policyd_trainer.jobs.runs.objects import ObjectRuns  # noqa: PLC0415

    return ObjectRuns(open_objects(where))
