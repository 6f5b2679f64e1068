"""Evaluates a version from recorded episodes, in a process of its own.

`python -m policyd_server.traffic.evaluating REPOSITORY EXPERIENCE POLICY VERSION EPISODES OWNER`
prints one EvaluateVersionResponse as JSON. Answering goes on meanwhile: nothing of it runs in a
worker.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path

from google.protobuf import json_format

from policy_api.v1 import traffic_pb2 as pb
from policyd.counted import counted
from policyd.errors import PolicydError
from policyd.evidence.intervals import Interval
from policyd.evidence.off_policy import LEAST_EPISODES, Evaluation, evaluate
from policyd.experience.sealed import read_sealed
from policyd.repository import ModelRepository
from policyd_server import child_process
from policyd_server.models.version import load_version
from policyd_server.traffic.recorded import logs_of

NICE = 10  # the workers come first


def evaluated(
    repository: ModelRepository, experience: Path, policy: str, version: int, episodes: int
) -> pb.EvaluateVersionResponse:
    """Returns the verdict from the newest episodes. NotFound, CorruptArtifact, ValueError."""
    loaded = load_version(repository, policy, version)
    newest = deque(
        (sealed.episode for sealed in read_sealed(experience / "episodes" / policy)), maxlen=episodes
    )
    recorded = logs_of(newest, loaded)
    found = None if recorded.logs is None else evaluate(recorded.logs)
    answer = pb.EvaluateVersionResponse(policy=policy, version=version, left_out=recorded.left_out)
    if found is None:
        answer.verdict = pb.EvaluateVersionResponse.CANNOT_TELL
        answer.episodes = 0 if recorded.logs is None else len(recorded.logs)
        answer.reason = f"{counted(answer.episodes, 'whole episodes')} recorded, fewer than {LEAST_EPISODES}"
    else:
        _fill(answer, found)
    return answer


def _fill(answer: pb.EvaluateVersionResponse, found: Evaluation) -> None:
    answer.verdict = pb.EvaluateVersionResponse.Verdict.Value(found.verdict)
    answer.reason = found.reason
    answer.episodes, answer.steps = found.episodes, found.steps
    names = ("logged_return", "ips", "self_normalised_ips", "doubly_robust", "difference", "sequence")
    for name in names:
        interval: Interval = getattr(found, name)
        getattr(answer, name).CopyFrom(
            pb.MeanInterval(mean=interval.mean, low=interval.low, high=interval.high)
        )
    answer.effective_sample_size = found.effective_sample_size
    answer.largest_weight_share = found.largest_share
    answer.mean_weight = found.mean_weight
    answer.mean_weight_deviations = found.mean_weight_deviations


def main() -> int:
    """Prints the response. Prints an expected error as one line on stderr, with exit code 1."""
    repository, experience, policy, version, episodes, owner = sys.argv[1:]
    if not child_process.dies_with(int(owner)):
        return 1
    os.nice(NICE)
    location = repository if "://" in repository else Path(repository)
    try:
        answer = evaluated(ModelRepository(location), Path(experience), policy, int(version), int(episodes))
    except (PolicydError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 -- the owner reads it
        return 1
    print(json_format.MessageToJson(answer, indent=None))  # noqa: T201 -- as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
