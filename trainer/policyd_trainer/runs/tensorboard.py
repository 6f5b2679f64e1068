"""TensorBoard event files."""

from __future__ import annotations

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from policyd_trainer.runs.curve import Point

FILE = "events.out.tfevents.policyd"


class EventFile:
    """Appends points to one event file. A resumed run writes the file again from its curve."""

    def __init__(self, path: Path, points: list[Point]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = RecordWriter(path.open("wb"))
        started = points[0].wall_time if points else 0.0
        self._write(Event(wall_time=started, file_version="brain.Event:2"))
        for point in points:
            self.add(point)

    def add(self, point: Point) -> None:
        """Writes and flushes one point."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in point.scalars.items()]
        summary = Summary(value=values)
        self._write(Event(wall_time=point.wall_time, step=point.env_steps, summary=summary))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()
