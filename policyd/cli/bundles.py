"""An exported version.

It is a folder or a tar file, with `contents.json` beside the version's files.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf import json_format

from policy_api.v1.policy_pb2 import VersionContents
from policyd.client.transfers import check, name_in_folder
from policyd.errors import AlreadyExists, CorruptArtifact
from policyd.temporary import TemporaryFolder

CONTENTS = "contents.json"
MAX_BYTES = 2**32  # of a bundle's files together


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yields a new folder for the bundle's files, and makes it the bundle `path` at the end.

    The bundle is a tar file if `path` ends with `.tar`, otherwise a folder. If the body raises, the
    folder is removed.

    Raises AlreadyExists if `path` exists.
    """
    if path.exists():
        raise AlreadyExists(f"{path} exists already: choose another --output")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        if path.suffix == ".tar":
            packed = scratch.with_name(f"{scratch.name}.tar")
            with tarfile.open(packed, "w") as archive:
                for file in sorted(scratch.iterdir()):
                    archive.add(file, file.name)
            packed.rename(path)
        else:
            scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_contents(folder: Path, contents: VersionContents) -> None:
    """Writes contents.json."""
    text = json_format.MessageToJson(contents, indent=1, preserving_proto_field_name=True)
    (folder / CONTENTS).write_text(text)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Path, VersionContents]]:
    """Yields the folder with a bundle's files, and the checked list of them.

    Raises CorruptArtifact if a file does not match the list.
    """
    if path.is_dir():
        yield path, _contents(path)
        return
    with TemporaryFolder("bundles") as folder:
        _unpack(path, folder.path)
        yield folder.path, _contents(folder.path)


def _unpack(path: Path, folder: Path) -> None:
    """Unpacks a tar file. Refuses anything but plain files with plain names, and over MAX_BYTES."""
    try:
        with tarfile.open(path, "r:") as archive:
            left = MAX_BYTES
            for member in archive:
                left -= member.size
                source = archive.extractfile(member) if member.isreg() and left >= 0 else None
                if source is None:
                    message = (
                        f"{path} is no exported version: {member.name[:80]!r} is not a file, or too large"
                    )
                    raise CorruptArtifact(message)
                with (folder / name_in_folder(member.name)).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (tarfile.TarError, EOFError) as error:
        message = f"{path} is neither an ONNX model (.onnx) nor what `policyctl export` wrote: {error}"
        raise CorruptArtifact(message) from error


def _contents(folder: Path) -> VersionContents:
    try:
        text = (folder / CONTENTS).read_bytes()
        contents = json_format.Parse(text, VersionContents(), ignore_unknown_fields=True)
    except (OSError, ValueError, RecursionError, json_format.ParseError) as error:
        message = f"{folder / CONTENTS} cannot be read, so `policyctl export` did not write this"
        raise CorruptArtifact(f"{message}: {str(error)[:200]}") from error
    check(contents, folder)
    return contents
