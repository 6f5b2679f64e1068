"""Opens the repository that a server follows."""

from __future__ import annotations

import logging
from pathlib import Path

from policyd.errors import FailedPrecondition, Unavailable
from policyd.repository import ModelRepository
from policyd.repository.cached import CachedStorage

_LOG = logging.getLogger(__name__)


def repository(location: Path | str, cache: Path) -> ModelRepository:
    """Returns the repository at `location`.

    One in object storage has local copies in the folder `cache`. A server can start from them
    while the store is away.
    """
    opened = ModelRepository(location)
    return opened if isinstance(location, Path) else ModelRepository(CachedStorage(opened.storage, cache))


def prepare(repository: ModelRepository) -> None:
    """Tests the repository. FailedPrecondition: changes could be lost there.

    If the store is away or read-only, the server serves nevertheless.
    """
    try:
        repository.prepare()
    except Unavailable as error:
        _LOG.warning("%s; what was kept of it is served until it can be reached", error.message)
    except FailedPrecondition as error:
        if error.reason != "STORE_DENIED":
            raise
        _LOG.warning("%s: this server can serve, but not promote or import", error.message)
