"""The examples of docs/guide/http.md, run as they are against a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policyd.repository import ModelRepository
from tests.policyd_server.http.conftest import http_url, publish_versions
from tests.policyd_server.http.trainer import Trainer
from tests.policyd_server.process import ServerProcess

PAGE = Path(__file__).parents[2] / "docs/guide/http.md"
WRITTEN = "http://127.0.0.1:8000"  # the address in the page's commands


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the policy and the trainer that the page uses."""
    folder = tmp_path_factory.mktemp("page")
    publish_versions(ModelRepository(folder / "repository"))
    trainer = Trainer()
    flags = ["--http", "127.0.0.1:0", "--trainer", trainer.address]
    server = ServerProcess(folder, folder / "repository", *flags)
    yield http_url(server)
    trainer.stop()
    assert server.stop() == 0


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_curl_examples(url: str) -> None:
    """Each command succeeds and prints what the page shows."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    commands = [block for block in _blocks("sh") if block.startswith("curl")]
    told = [block.replace(WRITTEN, url).replace("JOB_ID", "job-1") for block in commands]  # the trainer's job
    printed = [_run(["sh", "-ec", block]) for block in told]
    act, promoted, watched, wrong, inferred = printed
    shown, told_wrong = map(json.loads, _blocks("json"))
    assert json.loads(act).keys() == shown.keys()
    assert json.loads(act)["seed"] == "7"
    assert json.loads(promoted)["alias"]["version"] == 2
    assert "event: job" in watched
    assert watched.endswith("event: end\ndata: {}\n\n")
    assert json.loads(wrong).keys() == told_wrong.keys()
    assert json.loads(inferred)["outputs"]


def test_the_javascript_example(url: str, tmp_path: Path) -> None:
    """The example prints an action and a version, a seed as a string, and the error's reason."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    [script] = _blocks("js")
    file = tmp_path / "example.mjs"
    file.write_text(script)
    lines = _run([node, str(file)], POLICYD_HTTP=url).splitlines()
    assert lines[0].split()[0] in ("0", "1")
    assert lines[1] == "string"
    assert lines[2].startswith("INVALID_ARGUMENT: observations: got 3 numbers")


def _run(command: list[str], **environment: Any) -> str:
    """The output of a command."""
    ended = subprocess.run(
        ["env", *(f"{name}={value}" for name, value in environment.items()), *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
