"""A version's files, from a server into a folder and from a folder to a server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from policy_api.v1 import policy_pb2 as pb
from policyd.errors import CorruptArtifact, InvalidArgument

CHUNK = 2**20  # bytes
TRANSFER_TIMEOUT = 600.0  # seconds for one export or import


def name_in_folder(name: str) -> str:
    """Returns the name. InvalidArgument: it is not a plain file name inside the folder."""
    if name in ("", ".", "..") or Path(name).name != name or "\\" in name or "\0" in name:
        raise InvalidArgument.of("files", got=repr(name[:80]), wanted="a plain file name")
    return name


class Receiver:
    """Writes the files that ExportVersion streams into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contents = pb.VersionContents()
        self._position = -1
        self._file: BinaryIO | None = None

    def add(self, part: pb.ExportVersionResponse) -> None:
        """Writes the bytes of one message."""
        if part.WhichOneof("part") == "contents":
            self._contents = part.contents
            return
        if self._file is None or part.chunk.file != self._position:
            self.close()
            self._position = part.chunk.file
            name = name_in_folder(self._contents.files[self._position].name)
            self._file = (self._folder / name).open("wb")
        self._file.write(part.chunk.data)

    def finish(self) -> pb.VersionContents:
        """Returns the list of the files.

        Raises CorruptArtifact if a digest does not match, or if a file did not arrive.
        """
        self.close()
        check(self._contents, self._folder)
        return self._contents

    def close(self) -> None:
        """Closes the file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None


def export_request(
    policy: str, version: int | None, alias: str | None, files: Sequence[str]
) -> pb.ExportVersionRequest:
    """Returns the request. Without `version` and `alias`: the champion. Without `files`: all."""
    request = pb.ExportVersionRequest(policy=policy, files=files)
    if version is not None:
        request.version = version
    elif alias is not None:
        request.alias = alias
    return request


def check(contents: pb.VersionContents, folder: Path) -> None:
    """Raises CorruptArtifact if a file in `folder` is missing or does not match `contents`."""
    for file in contents.files:
        try:
            with (folder / name_in_folder(file.name)).open("rb") as reader:
                got = hashlib.file_digest(reader, "sha256").hexdigest()
        except OSError as error:
            raise CorruptArtifact(f"{folder / file.name} cannot be read: {error.strerror}") from error
        if got != file.digest:
            message = f"{folder / file.name} is damaged: its sha256 is {got}, expected {file.digest}"
            raise CorruptArtifact(message)


def send(contents: pb.VersionContents, folder: Path) -> Iterator[pb.ImportVersionRequest]:
    """Yields the messages that import the files in `folder`."""
    yield pb.ImportVersionRequest(contents=contents)
    for position, file in enumerate(contents.files):
        with (folder / name_in_folder(file.name)).open("rb") as reader:
            data = reader.read(CHUNK)
            while True:
                yield pb.ImportVersionRequest(chunk=pb.FileChunk(file=position, data=data))
                if not (data := reader.read(CHUNK)):
                    break
