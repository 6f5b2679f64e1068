"""Moving a version's files out of the repository and into it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from policy_api.v1 import policy_pb2 as pb
from policyd.errors import CorruptArtifact, Exhausted, InvalidArgument, NotFound, Unimplemented
from policyd.repository import ModelRepository, PublishedVersion
from policyd.repository.names import validate_policy_name
from policyd.repository.records import MODEL
from policyd.repository.versions import check_file_names
from policyd.temporary import TemporaryFolder
from policyd_server.models.follower import Follower
from policyd_server.models.resolver import VersionResolver
from policyd_server.models.version import check_model
from policyd_server.turns import Turns, received, taken_by_client

CHUNK = 2**20  # bytes
MAX_FILES = 256  # of one version


class Transfers:
    """Exports and imports. Digests are checked before anything is sent or published."""

    def __init__(self, follower: Follower, resolver: VersionResolver, max_bytes: int) -> None:
        """`max_bytes`: of all files of one import together."""
        self._repository: ModelRepository = follower.repository
        self._follower = follower
        self._resolver = resolver
        self._max_bytes = max_bytes
        self._exports, self._imports = Turns("exports"), Turns("imports")

    async def export(self, request: pb.ExportVersionRequest) -> AsyncIterator[pb.ExportVersionResponse]:
        """Yields the list of files, then their bytes. NotFound, CorruptArtifact, Exhausted."""
        async with self._exports.taken():
            async for part in taken_by_client(self._parts(request)):
                yield part

    async def _parts(self, request: pb.ExportVersionRequest) -> AsyncIterator[pb.ExportVersionResponse]:
        published = await self._named(request)
        names = await self._exports.run(self._wanted, published, request.files)
        added = {
            name: await self._exports.run(self._repository.read_added, published, name)
            for name in names
            if name not in published.files
        }
        digests = dict(published.files) | {n: hashlib.sha256(c).hexdigest() for n, c in added.items()}
        contents = pb.VersionContents(
            policy=published.policy,
            version=published.version,
            metadata=published.metadata,
            files=[pb.VersionFile(name=name, digest=digests[name]) for name in names],
        )
        yield pb.ExportVersionResponse(contents=contents)
        for position, name in enumerate(names):
            content = added.pop(name, None)
            if content is None:
                content = await self._exports.run(self._repository.read_published, published, name)
            for start in range(0, len(content) or 1, CHUNK):
                chunk = pb.FileChunk(file=position, data=content[start : start + CHUNK])
                yield pb.ExportVersionResponse(chunk=chunk)

    async def import_(
        self, requests: AsyncIterator[pb.ImportVersionRequest]
    ) -> tuple[PublishedVersion, bool]:
        """Publishes the files. Returns the version, and whether it existed already.

        Raises InvalidArgument, CorruptArtifact and Exhausted.
        """
        async with self._imports.taken():
            requests = received(requests)
            first = await anext(requests, None)
            contents = _checked(first.contents if first is not None else pb.VersionContents())
            with TemporaryFolder("imports") as folder:
                await self._receive(requests, contents, folder.path)
                return await self._imports.run(self._publish, contents, folder.path)

    async def _named(self, request: pb.ExportVersionRequest) -> PublishedVersion:
        policy = await self._resolver.policy(request.policy)
        version = request.version
        if request.WhichOneof("selector") != "version":
            alias = request.alias or "champion"
            state = await asyncio.to_thread(self._repository.aliases, policy)
            if alias not in state.aliases:
                there = ", ".join(sorted(state.aliases)) or "none"
                raise NotFound(f"{policy} has no alias {alias!r}; aliases: {there}", reason="NO_SUCH_ALIAS")
            version = state.aliases[alias]
        return await asyncio.to_thread(self._repository.read, policy, version)

    def _wanted(self, published: PublishedVersion, names: Sequence[str]) -> list[str]:
        """Returns the names of the wanted files, or of all.

        The files that were published come first, then those added later, such as the report.
        """
        there = [*sorted(published.files), *sorted(self._repository.added_files(published))]
        for name in names:
            if name not in there:
                place = f"{published.policy} version {published.version}"
                message = f"{place} has no file {name[:80]!r}; it has: {', '.join(there)}"
                raise NotFound(message, reason="NO_SUCH_FILE")
        return list(dict.fromkeys(names)) or there

    async def _receive(
        self, requests: AsyncIterator[pb.ImportVersionRequest], contents: pb.VersionContents, folder: Path
    ) -> None:
        """Writes the files' bytes into `folder`, and checks each one's digest."""
        arriving = _Received(contents.files, folder, self._max_bytes)
        try:
            async for request in requests:
                if request.WhichOneof("part") != "chunk":
                    raise InvalidArgument.of("part", got="contents", wanted="a chunk after the first message")
                await self._imports.run(arriving.add, request.chunk)
            await self._imports.run(arriving.finish)
        finally:
            arriving.close()

    def _publish(self, contents: pb.VersionContents, folder: Path) -> tuple[PublishedVersion, bool]:
        metadata = contents.metadata
        metadata.policy = contents.policy
        try:
            check_model(metadata, (folder / MODEL).read_bytes())
        except Unimplemented as error:
            raise CorruptArtifact(error.message) from error
        import_id = "import-" + hashlib.sha256(_identity(contents)).hexdigest()[:32]
        before = self._repository.find_job(contents.policy, import_id)
        if before is not None:
            return before, True
        files: dict[str, Path | bytes] = {file.name: folder / file.name for file in contents.files}
        published = self._repository.publish(contents.policy, files, metadata=metadata, job_id=import_id)
        return published, False


class _Received:
    """The files that have arrived so far, in the order of the list."""

    def __init__(self, files: Sequence[pb.VersionFile], folder: Path, max_bytes: int) -> None:
        self._files = files
        self._folder = folder
        self._max_bytes = max_bytes
        self._bytes = 0
        self._position = -1
        self._open: Any = None
        self._digest = hashlib.sha256()

    def add(self, chunk: pb.FileChunk) -> None:
        if self._open is None or chunk.file != self._position:
            if chunk.file != self._position + 1 or chunk.file >= len(self._files):
                wanted = f"{max(self._position, 0)} or {self._position + 1}, in the order of the list"
                raise InvalidArgument.of("chunk.file", got=chunk.file, wanted=wanted)
            self._end_file()
            self._position = chunk.file
            self._open = (self._folder / self._files[chunk.file].name).open("wb")
        self._bytes += len(chunk.data)
        if self._bytes > self._max_bytes:
            message = f"the files are larger than {self._max_bytes} bytes, this server's --max-import-bytes"
            raise Exhausted(message, reason="IMPORT_TOO_LARGE", retry_after=float("inf"))
        self._digest.update(chunk.data)
        self._open.write(chunk.data)

    def finish(self) -> None:
        self._end_file()
        if self._position + 1 != len(self._files):
            got = f"{self._position + 1} files"
            raise InvalidArgument.of("files", got=got, wanted=f"the bytes of all {len(self._files)}")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _end_file(self) -> None:
        if self._open is None:
            return
        self._open.close()
        file, got = self._files[self._position], self._digest.hexdigest()
        if got != file.digest:
            raise InvalidArgument.of(f"files[{file.name}].digest", got=got, wanted=file.digest)
        self._open, self._digest = None, hashlib.sha256()


def _checked(contents: pb.VersionContents) -> pb.VersionContents:
    """Returns the list of files. InvalidArgument names what is wrong with it."""
    validate_policy_name(contents.policy)
    if len(contents.files) > MAX_FILES:
        raise InvalidArgument.of("files", got=f"{len(contents.files)} files", wanted=f"at most {MAX_FILES}")
    names = {file.name: file.digest for file in contents.files}
    if len(names) != len(contents.files):
        raise InvalidArgument.of("files", got="a name twice", wanted="each file once")
    check_file_names(names)
    return contents


def _identity(contents: pb.VersionContents) -> bytes:
    """Returns an identity that depends on model and metadata, but not on the version's number."""
    same = pb.VersionContents()
    same.CopyFrom(contents)
    same.ClearField("version")
    same.files.sort(key=lambda file: file.name)
    return same.SerializeToString(deterministic=True)
