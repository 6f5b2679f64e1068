"""How far a continuous job is: in each version that it publishes, and in its checkpoint.

A version's `experience.json` says which episodes its weights come from. So a job that lost its
folder goes on behind the version that the alias names, and no version comes from one episode twice.
"""

from __future__ import annotations

import json
import logging
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from policy_api.v1 import experience_pb2 as pb
from policyd.experience.learned import Learned
from policyd.experience.sealed import Position, segment_path
from policyd.repository import ModelRepository, PublishedVersion
from policyd.repository.durable import make_directory, replace_file
from policyd_trainer.experience.selection import Dropped

FILE = "experience.json"
CHECKPOINT = "learning.pkl"
FORMAT = 1
logger = logging.getLogger(__name__)


@dataclass
class LearningState:
    """The counters of one job over all its attempts."""

    position: Position = field(default_factory=Position)  # after the last episode that was used or dropped
    steps: int = 0  # steps learned from
    episodes: int = 0
    batches: int = 0
    published: int = 0  # batches when the last version was published
    versions: int = 0  # that this job published
    version: int = 0  # the version that learning goes on from, which the alias named
    newest: int = 0  # the newest version that this job published; 0: none
    newest_batches: int = 0  # batches when that was published; 0: none, or before the first batch
    dropped: Dropped = field(default_factory=Dropped)
    before: Learned = field(default_factory=Learned)  # what earlier jobs of the policy had learned from

    @classmethod
    def after(cls, before: Learned) -> LearningState:
        """The state of a job that begins where earlier jobs ended."""
        return cls(position=before.position, before=before)

    def learned(self) -> Learned:
        """What all jobs of the policy have learned from so far."""
        before = self.before
        dropped = Dropped.of((*before.dropped, *self.dropped.messages())).messages()
        return Learned(self.position, before.episodes + self.episodes, before.steps + self.steps, dropped)


def encode(learned: Learned) -> bytes:
    """Encodes it for a file of the version."""
    dropped = [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in learned.dropped]
    counts = {"steps": learned.steps, "episodes": learned.episodes}
    return json.dumps({"position": list(learned.position), **counts, "dropped": dropped}).encode()


def learned_until(repository: ModelRepository, version: PublishedVersion, log: Path) -> Learned:
    """What a version was learned from.

    Empty if no job made the version, or if its job read another `log`.
    """
    if FILE not in version.files:
        return Learned()
    known = json.loads(repository.read_published(version, FILE))
    position = Position(*known["position"])
    segment = segment_path(log, position.segment)
    if not segment.exists() or segment.stat().st_size < position.offset:
        return Learned()
    dropped = [json_format.ParseDict(each, pb.DroppedEpisodes()) for each in known.get("dropped", [])]
    return Learned(position, known.get("episodes", 0), known["steps"], tuple(dropped))


def save(folder: Path, state: LearningState, live: dict[str, Any]) -> None:
    """Replaces the folder's checkpoint, atomically and durably."""
    content = {**vars(state), "position": tuple(state.position)}
    make_directory(folder)
    replace_file(folder / CHECKPOINT, pickle.dumps({"format": FORMAT, "state": content, "live": live}))


def load(folder: Path) -> tuple[LearningState, dict[str, Any]] | None:
    """The folder's checkpoint; None if there is none, or none that this release can read."""
    try:
        saved = pickle.loads((folder / CHECKPOINT).read_bytes())  # noqa: S301  this job wrote it
        if saved["format"] != FORMAT:
            logger.warning("%s is of another release; learning goes on from the alias", folder / CHECKPOINT)
            return None
        content = {**saved["state"], "position": Position(*saved["state"]["position"])}
        return LearningState(**content), saved["live"]
    except FileNotFoundError:
        return None
    except Exception:
        logger.exception("%s cannot be read; learning goes on from the alias", folder / CHECKPOINT)
        return None
