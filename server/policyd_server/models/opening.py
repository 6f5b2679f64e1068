"""Opens the repository that a server follows."""

from __future__ import annotations

import logging
from pathlib import Path

from policyd.errors import FailedPrecondition, Unavailable
from policyd.repository import ModelRepository
from policyd.repository.cached import CachedStorage

_LOG = logging.getLogger(__name__)


def repository(location: Path | str, cache: Path) -> ModelRepository:
    """The repository; in object storage with local copies, from which the server can also start.

    `cache`: the folder of these copies.
    """
    opened = ModelRepository(location)
    return opened if isinstance(location, Path) else ModelRepository(CachedStorage(opened.storage, cache))


def prepare(repository: ModelRepository) -> None:
    """Probes the repository. FailedPrecondition: it would lose changes.

    A store that is away, or that this server may only read, is no reason not to serve.
    """
    try:
        repository.prepare()
    except Unavailable as error:
        _LOG.warning("%s; what was kept of it is served until it can be reached", error.message)
    except FailedPrecondition as error:
        if error.reason != "STORE_DENIED":
            raise
        _LOG.warning("%s: this server can serve, but not promote or import", error.message)
