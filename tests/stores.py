"""The servers of object storage that tests run on, and proxies in front of them.

S3 is always among them. The emulators of the other clouds are where the environment gives them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests import azurite, gcs
from tests.flawed_proxy import FlawedProxy

OTHERS = {"azurite": azurite.VARIABLE, "gcs": gcs.VARIABLE}
NAMES = ["s3", *(name for name, variable in OTHERS.items() if variable in os.environ)]
MISSING = [variable for variable in OTHERS.values() if variable not in os.environ]


class StoreServer(Protocol):
    """One server process, with credentials for it in the environment."""

    secret: str  # part of the credentials, which no log may show
    endpoint_variables: tuple[str, ...]  # any of them may name the endpoint

    @property
    def port(self) -> int:
        """Where it listens."""

    def location(self) -> str:
        """The URL of a new repository."""

    def other_credentials(self, folder: Path) -> tuple[str, str]:
        """Credentials that it refuses: a variable and its value. Files of theirs go to `folder`."""


@pytest.fixture(params=NAMES)
def store(request: pytest.FixtureRequest) -> StoreServer:
    """A server that several processes can reach: each test runs on all."""
    server: StoreServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def proxy(store: StoreServer) -> Iterator[FlawedProxy]:
    """A proxy between client and server. It works until a test gives it a flaw."""
    proxy = FlawedProxy(store.port)
    yield proxy
    proxy.close()
