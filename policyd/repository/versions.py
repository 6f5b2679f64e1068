"""The format of a version: model.onnx, its metadata.json, and what belongs to them.

metadata.json: format, policy, version, sha256 (of model.onnx), create_time, job_id, `files` (the
SHA-256 of each file) and `metadata` (PolicyMetadata as JSON). It is written last: numbers without
it are no versions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from google.protobuf import json_format
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from policy_api.v1.artifact_pb2 import PolicyMetadata
from policyd.errors import CorruptArtifact, InvalidArgument
from policyd.repository.records import METADATA, MODEL, PublishedVersion

FORMAT = 1
MAX_METADATA_BYTES = 64 * 2**20
MAX_FILE_BYTES = 2**31  # of any other file; protobuf, and therefore ONNX, has this limit
MAX_NUMBER = 10**15

_Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    format: Literal[1]
    policy: str
    version: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    sha256: _Digest
    create_time: AwareDatetime
    job_id: str
    files: dict[str, _Digest]
    metadata: dict[str, Any]


def is_number(name: str) -> bool:
    """Whether a folder's name is a version number."""
    return name.isascii() and name.isdigit() and not name.startswith("0") and len(name) < len(str(MAX_NUMBER))


def is_file_name(name: str) -> bool:
    """Whether a version may have a file of this name: plain, visible, and inside its folder."""
    return name not in ("", METADATA) and not name.startswith(".") and Path(name).name == name


def check_file_names(names: Mapping[str, object]) -> None:
    """Raises InvalidArgument unless model.onnx is among the names and each is a plain file name."""
    if MODEL not in names:
        raise InvalidArgument.of("files", got=sorted(names), wanted=f"{MODEL} among them")
    for name in names:
        if not is_file_name(name):
            raise InvalidArgument.of("files", got=repr(name), wanted="a plain file name of its own")


def encode(version: int, digests: Mapping[str, str], metadata: PolicyMetadata, job_id: str) -> bytes:
    """Returns the bytes of metadata.json.

    Raises InvalidArgument if there are more of them than a reader takes.
    """
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
    content = json.dumps(body, indent=1).encode()
    if len(content) > MAX_METADATA_BYTES:
        got = f"{len(content)} bytes in {METADATA}"
        raise InvalidArgument.of("metadata", got=got, wanted=f"at most {MAX_METADATA_BYTES}")
    return content


def decode(policy: str, version: int, content: bytes) -> PublishedVersion:
    """Returns the description in a metadata.json.

    Raises CorruptArtifact if it is damaged or of another version.
    """
    place = f"models/{policy}/{version}/{METADATA}"
    try:
        body = _Document.model_validate_json(content)
        if (body.policy, body.version) != (policy, version):
            raise ValueError(f"it describes {body.policy[:80]} version {body.version}")
        metadata = json_format.ParseDict(body.metadata, PolicyMetadata(), ignore_unknown_fields=True)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        message = f"{'.'.join(str(part)[:80] for part in wrong['loc'][:4])}: {wrong['msg'][:200]}"
        raise CorruptArtifact(f"{place} is damaged: {message}") from None
    except (ValueError, TypeError, RecursionError, json_format.ParseError) as error:
        raise CorruptArtifact(f"{place} is damaged: {str(error)[:200]}") from None
    return PublishedVersion(
        policy=policy,
        version=version,
        digest=body.sha256,
        create_time=body.create_time,
        job_id=body.job_id,
        metadata=metadata,
        files=MappingProxyType(body.files),
    )
