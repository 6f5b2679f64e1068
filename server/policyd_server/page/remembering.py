"""The returns of running jobs since the page first saw them. A job reports its newest one only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from policy_api.v1.training_pb2 import TrainingJob

MOST_JOBS = 100
MOST_POINTS = 400  # of one job; if there are more, every other one is dropped


class CurveMemory:
    """The points (env_steps, mean return) of each job, in the order of the steps."""

    def __init__(self) -> None:
        self._points: OrderedDict[str, list[tuple[float, float]]] = OrderedDict()

    def note(self, jobs: Iterable[TrainingJob]) -> None:
        """Adds the present values of jobs."""
        for job in jobs:
            if job.state == TrainingJob.RUNNING and job.progress.HasField("mean_return"):
                self._add(job.job_id, float(job.progress.env_steps), job.progress.mean_return)

    def points(self, job_id: str) -> list[tuple[float, float]]:
        """Returns the remembered points of a job."""
        return self._points.get(job_id, [])

    def _add(self, job_id: str, env_steps: float, mean_return: float) -> None:
        points = self._points.setdefault(job_id, [])
        while points and points[-1][0] >= env_steps:  # a new attempt continued from a checkpoint
            points.pop()
        points.append((env_steps, mean_return))
        if len(points) > MOST_POINTS:
            del points[1:-1:2]
        self._points.move_to_end(job_id)
        if len(self._points) > MOST_JOBS:
            self._points.popitem(last=False)
