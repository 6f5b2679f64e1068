"""Chromium, and a trainer and a server of this checkout that it looks at."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.stack.stack import Stack, StackSettings
from policyd.repository import ModelRepository
from tests.policyd_server import artifacts

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROLES = {"looker": ["act"], "boss": ["act", "train", "admin"]}
LONG = pytest.mark.skipif("POLICYD_BROWSER" not in os.environ, reason="long: make browser runs it")


def free_port() -> int:
    """A port that no process has now. A restarted server can keep it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright.

    Not for longer than a module: until it ends, playwright runs an event loop in this thread, and
    no other test can run one.
    """
    sync_api: Any = pytest.importorskip("playwright.sync_api", reason="no playwright here: see make browser")
    if BROWSER is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


class Seen:
    """The errors and requests of a page, which a reader does not see."""

    def __init__(self, page: Any, url: str) -> None:
        self.console: list[str] = []
        self.elsewhere: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", lambda request: self._asked(request.url, url))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.console.append(f"{kind}: {text}")

    def _asked(self, asked: str, url: str) -> None:
        if not asked.startswith((f"{url}/", "data:")):
            self.elsewhere.append(asked)


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens tabs. At the end no tab may have logged an error or called another host.

    `may_fail`: the test stops the server, which a browser reports on its console.
    """
    opened: list[tuple[Any, Seen, bool]] = []

    def open_page(url: str, *, may_fail: bool = False, **options: object) -> Any:
        context = chromium.new_context(**options)
        context.set_default_timeout(30_000)
        page = context.new_page()
        opened.append((context, Seen(page, url), may_fail))
        return page

    yield open_page
    for context, seen, may_fail in opened:
        context.close()
        assert not seen.elsewhere
        assert may_fail or not seen.console


class Site:
    """A trainer and a server with its page, at an address that stays the same."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = StackSettings(
            folder,
            server_arguments=("--http", f"127.0.0.1:{port}", "--workers", "1", *arguments),
        )
        self.stack = Stack(settings)
        self.repository = ModelRepository(settings.repository)
        self.repository.sweep()

    def restart_server(self) -> None:
        """Stops the server and starts another one at the same address."""
        self.stack.server.stop()
        self.stack.start_server()


def publish(repository: ModelRepository, versions: int = 2) -> None:
    """Publishes versions of a small policy; version 1 is the champion."""
    for seed in range(versions):
        described = artifacts.metadata("small")
        described.settings["gamma"] = f"0.{9 + seed}"
        described.evaluation.greedy.episodes, described.evaluation.greedy.mean = 5, 10.0 + seed
        described.evaluation.greedy.ci_low, described.evaluation.greedy.ci_high = 8.0, 13.0
        files: dict[str, Path | bytes] = {"model.onnx": artifacts.model(described, seed=seed)}
        repository.publish("small", files, metadata=described)
    repository.set_alias("small", "champion", 1, actor="test", reason="the first")


@pytest.fixture(scope="module")
def site(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site without callers: everybody may do everything."""
    made = Site(tmp_path_factory.mktemp("browser"))
    publish(made.repository)
    with made.stack:
        yield made


@pytest.fixture(scope="module")
def guarded(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose callers have tokens and roles."""
    folder = tmp_path_factory.mktemp("guarded")
    callers = [
        {"name": name, "roles": roles, "token_sha256": hashlib.sha256(name.encode()).hexdigest()}
        for name, roles in ROLES.items()
    ]
    (folder / "callers.yaml").write_text(yaml.safe_dump({"callers": callers}))
    made = Site(folder, "--callers", str(folder / "callers.yaml"))
    publish(made.repository)
    with made.stack:
        yield made
