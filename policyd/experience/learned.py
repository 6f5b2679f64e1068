"""What a continuous job has learned from: one JSON file per policy, replaced as a whole.

    <root>/learned/<policy>.json

The learner writes it; the server reads it, for GetExperience and to forget observations that nobody
needs any more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import json_format

from policy_api.v1 import experience_pb2 as pb
from policyd.errors import CorruptArtifact
from policyd.experience.sealed import Position
from policyd.repository.durable import make_directory, replace_file


@dataclass(frozen=True)
class Learned:
    """How far the log was read, and how many of its episodes were used or dropped."""

    position: Position = field(default_factory=Position)
    episodes: int = 0
    steps: int = 0
    dropped: tuple[pb.DroppedEpisodes, ...] = ()


def read_learned(root: Path, policy: str) -> Learned:
    """Returns what the policy's jobs have learned from; empty if there was no job.

    Raises CorruptArtifact if the file is damaged.
    """
    path = root / "learned" / f"{policy}.json"
    try:
        content = json.loads(path.read_bytes())
        dropped = [json_format.ParseDict(each, pb.DroppedEpisodes()) for each in content["dropped"]]
        return Learned(Position(*content["position"]), content["episodes"], content["steps"], tuple(dropped))
    except FileNotFoundError:
        return Learned()
    except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
        raise CorruptArtifact(f"{path} is damaged: {error}") from error


def write_learned(root: Path, policy: str, learned: Learned) -> None:
    """Replaces the policy's file. Only the one job that trains the policy calls this."""
    content = {
        "position": list(learned.position),
        "episodes": learned.episodes,
        "steps": learned.steps,
        "dropped": [
            json_format.MessageToDict(each, preserving_proto_field_name=True) for each in learned.dropped
        ],
    }
    make_directory(root / "learned")
    replace_file(root / "learned" / f"{policy}.json", json.dumps(content).encode())
