"""What watchers see of a job's progress: it never falls within an attempt, and says when the job will end."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy_api.v1.training_pb2 import TrainingProgress

_MIN_FRACTION = 1e-3  # below this an estimate would be noise


@dataclass
class AttemptProgress:
    """The progress of one attempt, as its worker reports it."""

    first: TrainingProgress | None = None  # a resumed attempt does not begin at 0
    last: TrainingProgress = field(default_factory=TrainingProgress)

    def update(self, reported: TrainingProgress) -> TrainingProgress:
        """The report with a fraction that does not fall, and with an estimate where it has none."""
        self.first = self.first or reported
        progress = TrainingProgress()
        progress.CopyFrom(reported)
        progress.fraction = min(1.0, max(self.last.fraction, reported.fraction))
        if not progress.HasField("eta") and (seconds := eta(self.first, progress)) is not None:
            progress.eta.FromNanoseconds(round(seconds * 1e9))
        self.last = progress
        return progress


def eta(first: TrainingProgress, now: TrainingProgress) -> float | None:
    """Seconds to the end, if the job goes on at the mean rate since `first`; None: too early to say."""
    seconds = (now.elapsed.ToNanoseconds() - first.elapsed.ToNanoseconds()) / 1e9
    done = now.fraction - first.fraction
    if done < _MIN_FRACTION or seconds <= 0:
        return None
    return (1 - now.fraction) / done * seconds
