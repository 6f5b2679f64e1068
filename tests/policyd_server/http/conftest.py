"""A real server with its HTTP process, on a repository of one policy; and a plain client."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from policyd.repository import ModelRepository
from tests.policyd_server import artifacts
from tests.policyd_server.http.trainer import Trainer
from tests.policyd_server.process import ServerProcess

_URL = re.compile(r"HTTP on (https?://\S+)")
SECONDS = 60.0  # seconds for one response, on a shared machine


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of one response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Client:
    """Sends requests, each over a new connection."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)  # headers of each request
    tls: ssl.SSLContext | None = None

    @property
    def host(self) -> str:
        """HOST:PORT."""
        return urlsplit(self.url).netloc

    def connection(self) -> http.client.HTTPConnection:
        """A connection for what the methods below cannot do."""
        if self.url.startswith("https"):
            return http.client.HTTPSConnection(self.host, timeout=SECONDS, context=self.tls)
        return http.client.HTTPConnection(self.host, timeout=SECONDS)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Sends a request and returns the response.

        A body other than text or bytes is sent as JSON.
        """
        data = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        connection = self.connection()
        try:
            connection.request(method, path, data, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """Sends GET."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Any = None) -> Answer:
        """Sends POST."""
        return self.ask("POST", path, {} if body is None else body)


def http_url(server: ServerProcess) -> str:
    """The HTTP address in the server's log."""
    found = _URL.search(server.log)
    assert found is not None, server.log
    return found[1]


def publish_versions(
    repository: ModelRepository, policy: str = "cartpole", versions: int = 2, *, mask: bool = False
) -> None:
    """Publishes versions of a policy with 4 numbers and 2 actions; version 1 is the champion."""
    described = artifacts.metadata(policy)
    described.has_action_mask = mask
    for seed in range(versions):
        repository.publish(policy, {"model.onnx": artifacts.model(described, seed=seed)}, metadata=described)
    repository.set_alias(policy, "champion", 1, actor="test", reason="first")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository. Tests that move aliases use the policy `moving`."""
    folder = tmp_path_factory.mktemp("http")
    repository = ModelRepository(folder / "repository")
    publish_versions(repository)
    publish_versions(repository, "masked", 1, mask=True)
    publish_versions(repository, "moving", 3)
    return folder


@pytest.fixture(scope="session")
def trainer() -> Iterator[Trainer]:
    """The trainer's service in this process."""
    trainer = Trainer()
    yield trainer
    trainer.stop()


@pytest.fixture(scope="session")
def server(folder: Path, trainer: Trainer) -> Iterator[ServerProcess]:
    """A server that answers HTTP."""
    flags = ["--http", "127.0.0.1:0", "--trainer", trainer.address]
    started = ServerProcess(folder, folder / "repository", *flags)
    yield started
    assert started.stop() == 0
    assert "Traceback" not in started.log


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Client:
    return Client(http_url(server))
