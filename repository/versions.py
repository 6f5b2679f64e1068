"""Published versions on disk: a folder with model.onnx, its metadata.json and what belongs to it.

metadata.json: format, policy, version, sha256 (of model.onnx), create_time, job_id, `files` (the SHA-256 of
each file) and `metadata` (PolicyMetadata as JSON). It is written last: a folder without it is no version.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from policy_api.errors import CorruptArtifact, InvalidArgument
from policy_api.v1.artifact_pb2 import PolicyMetadata
from repository.durable import write_file
from repository.records import METADATA, MODEL, PublishedVersion

FORMAT = 1


def numbers(directory: Path) -> list[int]:
    """Every number that a folder below `directory` has taken, ascending."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if _is_number(path.name))


def is_version(directory: Path) -> bool:
    """Whether the folder is a whole version."""
    return (directory / METADATA).is_file()


def stage_files(directory: Path, files: Mapping[str, Path | bytes]) -> dict[str, str]:
    """Writes the files durably into `directory`. Answers each one's SHA-256."""
    if MODEL not in files:
        raise InvalidArgument.of("files", got=sorted(files), wanted=f"{MODEL} among them")
    for name in files:
        if name in (METADATA, "", ".", "..") or Path(name).name != name:
            raise InvalidArgument.of("files", got=repr(name), wanted="a plain file name of its own")
    return {name: _stage(directory / name, source) for name, source in files.items()}


def write_metadata(
    directory: Path, *, version: int, digests: Mapping[str, str], metadata: PolicyMetadata, job_id: str
) -> None:
    """Writes metadata.json, which makes the folder a version."""
    body = {
        "format": FORMAT,
        "policy": metadata.policy,
        "version": version,
        "sha256": digests[MODEL],
        "create_time": datetime.now(UTC).isoformat(),
        "job_id": job_id,
        "files": dict(digests),
        "metadata": json_format.MessageToDict(metadata, preserving_proto_field_name=True),
    }
    write_file(directory / METADATA, json.dumps(body, indent=1).encode())
    (directory / METADATA).chmod(0o444)


def read_version(directory: Path, *, policy: str, version: int) -> PublishedVersion:
    """What metadata.json says. CorruptArtifact where it cannot be read or speaks of another version."""
    body = _read_body(directory)
    try:
        if (body["format"], body["policy"], body["version"]) != (FORMAT, policy, version):
            raise ValueError(f"it speaks of {body['policy']} version {body['version']}")
        return PublishedVersion(
            policy=policy,
            version=version,
            digest=body["sha256"],
            create_time=datetime.fromisoformat(body["create_time"]),
            job_id=body["job_id"],
            metadata=json_format.ParseDict(body["metadata"], PolicyMetadata(), ignore_unknown_fields=True),
            directory=directory,
        )
    except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
        raise CorruptArtifact(f"{directory / METADATA} is damaged: {error}") from error


def read_verified(directory: Path, name: str) -> bytes:
    """The bytes of one file of a version, which match the SHA-256 in metadata.json."""
    wanted = file_digests(directory).get(name)
    if wanted is None:
        raise CorruptArtifact(f"{directory / METADATA} lists no {name}")
    try:
        content = (directory / name).read_bytes()
    except OSError as error:
        raise CorruptArtifact(f"{directory / name} cannot be read: {error.strerror}") from error
    if (got := hashlib.sha256(content).hexdigest()) != wanted:
        raise CorruptArtifact(f"{directory / name} is damaged: its sha256 is {got}, published was {wanted}")
    return content


def file_digests(directory: Path) -> Mapping[str, str]:
    """SHA-256 by file name, as published."""
    digests = _read_body(directory).get("files")
    if not isinstance(digests, dict):
        raise CorruptArtifact(f"{directory / METADATA} is damaged: it lists no files")
    return digests


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and not name.startswith("0")


def _stage(target: Path, source: Path | bytes) -> str:
    if isinstance(source, bytes):
        write_file(target, source)
        digest = hashlib.sha256(source).hexdigest()
    else:
        digest = _copy(source, target)
    target.chmod(0o444)
    return digest


def _copy(source: Path, target: Path) -> str:
    with source.open("rb") as reader, target.open("w+b") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())
        writer.seek(0)
        return hashlib.file_digest(writer, "sha256").hexdigest()


def _read_body(directory: Path) -> dict[str, Any]:
    try:
        body = json.loads((directory / METADATA).read_bytes())
    except (OSError, ValueError) as error:
        raise CorruptArtifact(f"{directory / METADATA} cannot be read: {error}") from error
    if not isinstance(body, dict):
        raise CorruptArtifact(f"{directory / METADATA} is damaged: not a JSON object")
    return body
