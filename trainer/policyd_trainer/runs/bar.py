"""The progress bar that people see."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from policy_api.v1.training_pb2 import TrainingFailure, TrainingProgress, TrainingResult
from policyd.counted import counted
from policyd_trainer.runs.reporting import TextReporter


class BarReporter:
    """A live bar on the console with return, env-steps/s and ETA, and the result below it."""

    def __init__(self, console: Console) -> None:
        # A message may contain brackets, which the console would take for markup.
        def write(line: str) -> None:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        self._text = TextReporter(write)
        columns = "{task.percentage:>3.0f}% {task.fields[figures]}"
        self._bar = Progress(
            TextColumn("{task.description:<10}", markup=False),
            BarColumn(),
            TextColumn(columns, markup=False),
            console=console,
        )
        self._task = self._bar.add_task("starting", total=1.0, figures="")

    def __enter__(self) -> BarReporter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def progress(self, progress: TrainingProgress) -> None:
        """Updates the bar."""
        self._bar.update(
            self._task,
            completed=progress.fraction,
            total=1.0 if progress.fraction or not progress.HasField("learning") else None,  # None: it pulses
            description=TrainingProgress.Phase.Name(progress.phase).lower(),
            figures=_figures(progress),
            refresh=True,
        )

    def result(self, result: TrainingResult) -> None:
        """Fills the bar and shows the result."""
        self._bar.update(self._task, completed=1.0, description="done")
        self._bar.stop()
        self._text.result(result)

    def failure(self, failure: TrainingFailure) -> None:
        """Shows why the run failed."""
        self._bar.stop()
        self._text.failure(failure)


def _figures(progress: TrainingProgress) -> str:
    parts = [f"{progress.env_steps:,}/{counted(progress.total_env_steps, 'steps')}"]
    if progress.HasField("learning"):
        learning = progress.learning
        parts = [
            f"{counted(progress.env_steps, 'steps')} of clients in {counted(learning.batches, 'batches')}"
        ]
        if learning.version:
            parts.append(f"version {learning.version}")
        if learning.dropped_episodes:
            parts.append(f"{counted(learning.dropped_episodes, 'episodes')} dropped")
    if progress.evaluation_steps:
        parts.append(f"{progress.evaluation_steps:,} of at most {progress.total_evaluation_steps:,} to judge")
    if progress.HasField("mean_return"):
        parts.append(f"return {progress.mean_return:.2f}")
    if progress.env_steps_per_second:
        parts.append(f"{progress.env_steps_per_second:,.0f} steps/s")
    if progress.HasField("eta"):
        parts.append(f"ETA {_duration(progress.eta.ToSeconds())}")
    return ", ".join(parts)


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02d}"
