"""Objects by key, through obstore: reading, conditional writing, and errors of our tree.

obstore is an extra. It speaks S3, Google Cloud Storage and Azure with one vocabulary for
conditions.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from policyd.errors import Conflict, CorruptArtifact, FailedPrecondition, Unavailable

ATTEMPTS = 100  # attempts of a write while other writers change the same object
MAX_PAUSE = 0.2  # longest pause between two attempts, in seconds


@dataclass(frozen=True)
class Found:
    """An object's bytes, and the condition for overwriting exactly these."""

    content: bytes
    condition: Mapping[str, str]  # ETag and, where the store has them, the generation


class ObjectClient:
    """The objects of one store, or below a prefix in it. Threads may share it."""

    def __init__(self, store: Any, location: str) -> None:
        """`store`: one of obstore.store. `location`: its URL, for messages."""
        import obstore.exceptions  # noqa: PLC0415 -- an extra

        self._store = store
        self._errors = obstore.exceptions
        self.location = location

    def get(self, key: str, limit: int) -> Found | None:
        """Returns the object. None: there is none.

        Raises CorruptArtifact if it is larger than `limit` bytes, and Unavailable.
        """
        with self._translated(key):
            try:
                result = self._store.get(key)
                if (size := result.meta["size"]) > limit:
                    raise CorruptArtifact(f"{key} has {size} bytes, expected at most {limit}")
                return Found(bytes(result.bytes()), _condition(result.meta))
            except (self._errors.NotFoundError, FileNotFoundError):
                return None

    def size(self, key: str) -> int | None:
        """Returns the object's size in bytes. None: there is none. Raises Unavailable."""
        with self._translated(key):
            try:
                return int(self._store.head(key)["size"])
            except (self._errors.NotFoundError, FileNotFoundError):
                return None

    def part(self, key: str, start: int, end: int) -> bytes:
        """Returns bytes [start, end) of an object; fewer if it is shorter, none if it is gone.

        Raises Unavailable.
        """
        with self._translated(key):
            try:
                return bytes(self._store.get_range(key, start=start, end=end))
            except (self._errors.NotFoundError, FileNotFoundError):
                return b""

    def put(self, key: str, content: bytes) -> Mapping[str, str]:
        """Writes or overwrites an object.

        Returns the condition for overwriting exactly this one.
        """
        with self._translated(key):
            return _condition(self._store.put(key, content, mode="overwrite", use_multipart=False))

    def create(self, key: str, content: bytes) -> bool:
        """Creates an object that must not exist. Returns whether the store has these bytes now.

        A store may answer "conflict" while another write is under way, and a request whose answer
        was lost is sent again. Therefore the object is read to find out what was written.
        """
        for _ in _attempts():
            with self._translated(key):
                try:
                    self._store.put(key, content, mode="create", use_multipart=False)
                    return True
                except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
                    pass
            found = self.get(key, max(len(content), 2**20))
            if found is not None:
                return found.content == content
        raise Unavailable(f"{self.location}: {key} was neither written nor found")

    def update(self, key: str, limit: int, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replaces an object by the result of `change`, and tries again if somebody was faster.

        If `change` returns None, the object stays. Raises Conflict if too many others write it.
        """
        for _ in _attempts():
            before = self.get(key, limit)
            after = change(before.content if before is not None else None)
            if after is None or self._replaced(key, before, after):
                return
            # The answer to our own write may have been lost.
            now = self.get(key, limit)
            if now is not None and now.content == after:
                return
        raise Conflict(f"{self.location}: {key} was changed by others {ATTEMPTS} times")

    def delete(self, key: str) -> None:
        """Deletes an object if it exists."""
        with self._translated(key):
            try:
                self._store.delete(key)
            except (self._errors.NotFoundError, FileNotFoundError):
                return

    def entries(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yields key and ETag of every object below `prefix`, which ends with a slash."""
        with self._translated(prefix):
            for page in self._store.list(prefix):
                for meta in page:
                    yield meta["path"], str(meta.get("e_tag") or (meta["last_modified"], meta["size"]))

    def folders(self, prefix: str) -> list[str]:
        """Returns the names of the folders directly below `prefix`, which ends with a slash."""
        with self._translated(prefix):
            found = self._store.list_with_delimiter(prefix)
            return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    def replace(self, key: str, content: bytes, condition: Mapping[str, str]) -> bool:
        """Overwrites an object if `condition` still holds. False: the object has changed."""
        with self._translated(key):
            try:
                self._store.put(key, content, mode=dict(condition), use_multipart=False)
            except (self._errors.PreconditionError, self._errors.NotFoundError, FileNotFoundError):
                return False
            except self._errors.AlreadyExistsError:  # HTTP status 409: another write was under way
                return False
            return True

    def _replaced(self, key: str, before: Found | None, after: bytes) -> bool:
        if before is not None:
            return self.replace(key, after, before.condition)
        return self.create(key, after)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (self._errors.BaseError, OSError) as error:
            if self._is_refusal(error):
                message = f"{self.location} refuses access to {key}: {_short(error)}"
                raise FailedPrecondition(message, reason="STORE_DENIED") from None
            message = f"{self.location} cannot be reached for {key}: {_short(error)}"
            raise Unavailable(message, reason="STORE_UNAVAILABLE") from None

    def _is_refusal(self, error: BaseException) -> bool:
        """Whether the store refused access. A refused listing has no error class of its own."""
        refused = (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError, PermissionError)
        told = ("403 Forbidden", "401 Unauthorized")
        return isinstance(error, refused) or any(text in str(error) for text in told)


def _condition(meta: Mapping[str, Any]) -> dict[str, str]:
    return {name: meta[name] for name in ("e_tag", "version") if meta.get(name)}


def _short(error: BaseException) -> str:
    """Returns the first line, without the parts of URLs that may hold signatures and keys."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return re.sub(r"\?[^\s\"')]*", "?...", re.sub(r"//[^/@\s]*@", "//", line))[:300]


def _attempts() -> Iterator[int]:
    """Yields the attempt numbers, with growing random pauses between them."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, min(MAX_PAUSE, 0.005 * 2**attempt)))  # noqa: S311 -- not a secret
        yield attempt
