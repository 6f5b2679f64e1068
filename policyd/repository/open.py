"""Opens the storage of a location: a folder, or object storage by its URL."""

from __future__ import annotations

import re
from pathlib import Path

from policyd.errors import InvalidArgument
from policyd.repository.disk import DiskStorage
from policyd.repository.storage import Storage

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CLOUDS = ("s3", "gs", "az")
WANTED = "a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"


def location(text: str | Path) -> Path | str:
    """Returns a folder's path, or a URL of object storage.

    Raises InvalidArgument for a URL of another kind, or for an empty text.
    """
    if isinstance(text, Path):
        return text
    match = _URL.match(text)
    if match is not None and match[1] == "file":
        return Path(text.removeprefix("file://"))
    if not text or (match is not None and match[1] not in _CLOUDS):
        raise InvalidArgument.of("repository", got=repr(text.partition("?")[0]), wanted=WANTED)
    return Path(text) if match is None else text


def open_storage(where: Path | str) -> Storage:
    """Returns the storage at a location.

    Raises InvalidArgument, and FailedPrecondition if the package that it needs is not installed.
    """
    where = location(where)
    if isinstance(where, Path):
        return DiskStorage(where)
    from policyd.repository.object_url import open_objects  # noqa: PLC0415 -- an extra
    from policyd.repository.objects import ObjectStorage  # noqa: PLC0415

    return ObjectStorage(open_objects(where))
