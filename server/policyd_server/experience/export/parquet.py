"""Episodes as Parquet: one row per step, as it was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from policy_api.v1 import experience_pb2 as pb
from policyd_server.experience.export.chunks import Sink

#: A row group is written after this many steps, or this many bytes.
GROUP_STEPS, GROUP_BYTES = 20_000, 8 << 20

_NUMBERS = pa.list_(pa.float32())
SCHEMA = pa.schema(
    [
        ("episode_id", pa.string()),
        ("agent_id", pa.string()),
        ("subject", pa.string()),
        ("caller", pa.string()),
        ("step", pa.int64()),
        ("version", pa.int64()),
        ("observation", _NUMBERS),
        ("action_mask", pa.list_(pa.bool_())),  # null: nothing was masked
        ("action", _NUMBERS),  # as it was recorded: indices, bits, or the normal sample of a Box
        ("log_prob", pa.float32()),
        ("value", pa.float32()),
        ("seed", pa.uint64()),
        ("row", pa.uint64()),
        ("decide_time", pa.timestamp("us", tz="UTC")),
        ("reported", pa.bool_()),
        ("reward", pa.float64()),
        ("end", pa.string()),  # how the episode ended, on its last step; else GOES_ON
        ("final_observation", _NUMBERS),  # on the last step of a truncated episode
    ]
)


def parquet(episodes: Iterable[pb.Episode], *, box: bool) -> Iterator[bytes]:
    """Yields the bytes of one Parquet file. `box`: actions are float32, otherwise int64."""
    sink = Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), SCHEMA) as writer:
        for rows in _groups(episodes, box=box):
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            yield sink.take()
    yield sink.take()


def _groups(episodes: Iterable[pb.Episode], *, box: bool) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for episode in episodes:
        for step in episode.steps:
            rows.append(_row(episode, step, box=box))
            size += len(step.observation)
            if len(rows) >= GROUP_STEPS or size >= GROUP_BYTES:
                yield rows
                rows, size = [], 0
    if rows:
        yield rows


def _row(episode: pb.Episode, step: pb.RecordedStep, *, box: bool) -> dict[str, Any]:
    last = step is episode.steps[-1] or step.step == episode.steps[-1].step
    mask = np.frombuffer(step.action_mask, np.uint8).astype(bool).tolist()
    return {
        "episode_id": episode.episode_id,
        "agent_id": episode.agent_id,
        "subject": episode.subject,
        "caller": episode.caller,
        "step": step.step,
        "version": step.version,
        "observation": np.frombuffer(step.observation, "<f4"),
        "action_mask": mask or None,
        "action": np.frombuffer(step.action, "<f4" if box else "<i8").astype(np.float32),
        "log_prob": step.log_prob,
        "value": step.value if step.HasField("value") else None,
        "seed": step.seed,
        "row": step.row,
        "decide_time": step.decide_time.ToMicroseconds(),
        "reported": step.reported,
        "reward": step.reward,
        "end": pb.End.Name(episode.end if last else pb.GOES_ON),
        "final_observation": np.frombuffer(episode.final_observation, "<f4")
        if last and len(episode.final_observation) == len(step.observation)
        else None,
    }
