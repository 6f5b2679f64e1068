"""Experience in object storage: server and trainer on different machines share it.

    experience/writer                                 create-only: which server records
    experience/configs/<policy>.json                  put by the server
    experience/episodes/<policy>/<segment>/<offset>   put by the server: pieces of sealed segments
    experience/learned/<policy>.json                  put by the trainer

The server records on its own disk, and an outcome that it acknowledged is on that disk. Sealed
episodes follow into the store within about a second. A trainer keeps a copy of what it still has to
read, at the same positions. Records are overwritten in place, on the disk and in the store alike,
so what was deleted is deleted in both.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from policyd.errors import FailedPrecondition
from policyd.experience.sealed import overwritten, segment_path
from policyd.repository.durable import make_directory, replace_file
from policyd.repository.object_client import ObjectClient

ROOT = "experience/"
#: The size of each piece of a segment in bytes. The last piece is shorter, and is stored again as
#: it grows.
PIECE_BYTES = 1 << 20
#: The largest size of a configuration, and of a file about what was learned from.
SMALL_BYTES = 16 << 20
STATE = "stored.json"
#: Two changes of a file within this time may have the same time of change.
TICK_NANOSECONDS = 100_000_000
UNSETTLED = -1


class Outgoing:
    """Copies what one server has sealed to the store, and gets what was learned from it."""

    def __init__(self, root: Path, client: ObjectClient) -> None:
        """`root`: the folder of experience. Continues where an earlier process stopped."""
        self._root, self._client, self._claimed = root, client, False
        self._small: dict[Path, int] = {}  # checksums of the small files that the store has
        self._overwritten: dict[str, int] = {}  # by policy: when its log was last overwritten
        self._stored: dict[str, dict[str, list[int]]] = {}  # policy, segment: time of change, checksums
        with suppress(FileNotFoundError, ValueError):  # without the file, everything is stored again
            self._stored = json.loads((root / STATE).read_bytes())

    def exchange(self) -> None:
        """Copies once in each direction.

        Raises Unavailable if the store is away; the next call continues. Raises FailedPrecondition
        if another server records into this store.
        """
        self._claim()
        for path in sorted((self._root / "configs").glob("*.json")):
            self._put_small(path, f"{ROOT}configs/{path.name}")
        changed = False
        folders = self._root / "episodes"
        for folder in sorted(folders.iterdir() if folders.exists() else ()):
            changed |= self._put_log(folder)
            self._get_learned(folder.name)
        if changed:
            replace_file(self._root / STATE, json.dumps(self._stored).encode())

    def _claim(self) -> None:
        """Makes sure that no other folder is copied to the same place."""
        if self._claimed:
            return
        path = self._root / "writer"
        if not path.exists():
            replace_file(path, uuid.uuid4().hex.encode())
        self._claimed = self._client.create(f"{ROOT}writer", path.read_bytes())
        if not self._claimed:
            message = (
                f"another server records into {self._client.location}: only one may. If its disk is lost, "
                f"remove the objects below {ROOT} first"
            )
            raise FailedPrecondition(message, reason="OTHER_WRITER")

    def _put_small(self, path: Path, key: str) -> None:
        content = path.read_bytes()
        if self._small.get(path) != (checksum := zlib.crc32(content)):
            self._client.put(key, content)
            self._small[path] = checksum

    def _put_log(self, folder: Path) -> bool:
        """Stores changed pieces and removes deleted segments; returns whether anything changed."""
        stored = self._stored.setdefault(folder.name, {})
        marked = _settled(overwritten(folder))
        # Otherwise the log has only grown.
        whole = marked == UNSETTLED or self._overwritten.get(folder.name) != marked
        segments = {path.stem: path for path in sorted(folder.glob("*.log"))}
        changed = False
        for name, path in segments.items():
            key = f"{ROOT}episodes/{folder.name}/{name}"
            changed |= self._put_segment(key, path, stored, whole=whole)
        for name in [name for name in stored if name not in segments]:
            prefix = f"{ROOT}episodes/{folder.name}/{name}/"
            for key, _ in list(self._client.entries(prefix)):
                self._client.delete(key)
            del stored[name]
            changed = True
        self._overwritten[folder.name] = marked
        return changed

    def _put_segment(self, key: str, path: Path, stored: dict[str, list[int]], *, whole: bool) -> bool:
        """Stores a segment's changed pieces; returns whether the segment has changed.

        `stored`: for each segment, the file's time of change and then the checksum of each piece.
        `whole`: compare all pieces, not only the last one.
        """
        when = _settled(path.stat().st_mtime_ns)
        before = stored.get(path.stem, [0])
        if before[0] == when != UNSETTLED:
            return False
        first = 0 if whole else max(0, len(before) - 2)  # only the last piece grows
        checksums = before[1 : first + 1]
        for number, piece in pieces(path, first):
            checksums.append(zlib.crc32(piece))
            if before[number + 1 : number + 2] != checksums[-1:]:
                self._client.put(f"{key}/{number * PIECE_BYTES:012d}", piece)
        stored[path.stem] = [when, *checksums]
        return True

    def _get_learned(self, policy: str) -> None:
        found = self._client.get(f"{ROOT}learned/{policy}.json", SMALL_BYTES)
        path = self._root / "learned" / f"{policy}.json"
        if found is not None and self._small.get(path) != (checksum := zlib.crc32(found.content)):
            make_directory(path.parent)
            replace_file(path, found.content)
            self._small[path] = checksum


def pieces(path: Path, first: int) -> Iterator[tuple[int, bytes]]:
    """Yields number and bytes of a segment's pieces, from number `first` on.

    It stops after a short piece, even if the segment has grown since: later bytes belong to that
    piece.
    """
    with path.open("rb") as file:
        file.seek(first * PIECE_BYTES)
        for number in itertools.count(first):
            piece = file.read(PIECE_BYTES)
            if piece:
                yield number, piece
            if len(piece) < PIECE_BYTES:
                return


def _settled(when: int) -> int:
    """Returns the time of change in ns; UNSETTLED if a next change might get the same time."""
    return when if time.time_ns() - when > TICK_NANOSECONDS else UNSETTLED


class Incoming:
    """The copy of one policy's experience that a learner reads."""

    def __init__(self, root: Path, policy: str, client: ObjectClient) -> None:
        """`root`: the folder of the copy, which may be empty."""
        self._root, self._policy, self._client = root, policy, client
        self._tags: dict[str, str] = {}  # by key: the ETags of what the copy has

    def update(self, segment: int) -> None:
        """Gets what is new, from `segment` on, and removes what the store no longer has.

        Raises Unavailable if the store is away.
        """
        folder = self._root / "episodes" / self._policy
        make_directory(folder)
        prefix = f"{ROOT}episodes/{self._policy}/"
        found = dict(sorted(self._client.entries(prefix)))
        for key, tag in found.items():
            number, offset = (int(part) for part in key.removeprefix(prefix).split("/"))
            if number >= segment and self._tags.get(key) != tag:
                self._get_piece(key, segment_path(folder, number), offset)
                self._tags[key] = tag
        numbers = {int(key.removeprefix(prefix).split("/")[0]) for key in found}
        for path in folder.glob("*.log"):
            if int(path.stem) not in numbers or int(path.stem) < segment:
                path.unlink()
                gone = f"{prefix}{path.stem}/"
                self._tags = {key: tag for key, tag in self._tags.items() if not key.startswith(gone)}

    def tell(self) -> None:
        """Stores the file about what was learned from."""
        path = self._root / "learned" / f"{self._policy}.json"
        self._client.put(f"{ROOT}learned/{self._policy}.json", path.read_bytes())

    def update_small(self) -> None:
        """Gets the configuration, and at first the file about what earlier jobs learned from."""
        found = self._client.get(f"{ROOT}configs/{self._policy}.json", SMALL_BYTES)
        path = self._root / "configs" / f"{self._policy}.json"
        if found is not None and (not path.exists() or path.read_bytes() != found.content):
            make_directory(path.parent)
            replace_file(path, found.content)
        learned = self._root / "learned" / f"{self._policy}.json"
        if not learned.exists():  # earlier jobs may have run on another machine
            before = self._client.get(f"{ROOT}learned/{self._policy}.json", SMALL_BYTES)
            if before is not None:
                make_directory(learned.parent)
                replace_file(learned, before.content)

    def _get_piece(self, key: str, path: Path, offset: int) -> None:
        """Writes a piece at its offset. The file never becomes shorter."""
        found = self._client.get(key, PIECE_BYTES)
        if found is None:  # its segment was removed a moment ago
            return
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(offset)
            file.write(found.content)
