"""From an export's request to the bytes of its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from policy_api.v1 import experience_pb2 as pb
from policy_api.v1.artifact_pb2 import PolicyMetadata
from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.experience.sealed import read_sealed
from policyd_server.experience.export.chunks import bounded


def exported(root: Path, request: pb.ExportEpisodesRequest, metadata: PolicyMetadata) -> Iterator[bytes]:
    """Yields the file in pieces. Its memory does not depend on the number of episodes.

    Raises:
        InvalidArgument: the format is not set, or unknown.
        FailedPrecondition: the extra `export` is not installed.
    """
    episodes = _episodes(root, request.policy, request.version)
    try:
        if request.format == pb.ExportEpisodesRequest.PARQUET:
            from policyd_server.experience.export.parquet import parquet  # noqa: PLC0415 -- the extra

            box = metadata.action_space.WhichOneof("kind") == "box"
            return bounded(parquet(episodes, box=box))
        if request.format == pb.ExportEpisodesRequest.MINARI:
            from policyd_server.experience.export.minari import minari  # noqa: PLC0415 -- the extra

            return bounded(minari(request.policy, episodes, metadata))
    except ImportError as error:
        message = f"{error.name} is not installed on the server: pip install 'policyd[export]'"
        raise FailedPrecondition(message, reason="NOT_INSTALLED") from error
    raise InvalidArgument.of("format", got=request.format, wanted="MINARI or PARQUET")


def _episodes(root: Path, policy: str, version: int) -> Iterator[pb.Episode]:
    """Yields the sealed episodes, oldest first; with `version`, only those that it played alone."""
    for sealed in read_sealed(root / "episodes" / policy):
        if not version or all(step.version == version for step in sealed.episode.steps):
            yield sealed.episode
