"""Where runs keep their checkpoints and logs: in a folder, or in object storage."""

from policyd_trainer.jobs.runs.interface import LogReader, Runs
from policyd_trainer.jobs.runs.open import open_runs

__all__ = ["LogReader", "Runs", "open_runs"]
