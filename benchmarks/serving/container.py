"""The server out of its image, as docker-compose.yml runs it: same user, limits and published port.

Any engine will do that `docker` reaches, through DOCKER_HOST or its default. Clients reach the
published port through the engine's proxy and bridge. A second contestant uses the machine's own
network instead, so that their cost is seen.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import yaml

from benchmarks.serving import processes
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import InvalidAnswer

CHECKOUT = Path(__file__).parents[2]
REPOSITORY = "/var/lib/policyd/repository"
HEALTH_SECONDS = 120
ANY_PORT = dict.fromkeys(("POLICYD_PORT", "POLICYD_HTTP_PORT", "POLICYD_METRICS_PORT"), "")


def missing() -> str:
    """Says why the image cannot be measured here. Empty: it can."""
    for program in ("docker", "docker-compose"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return " ".join(asked.stderr.split()) if asked.returncode else ""


def start(folder: Path, repository: Path, *, host_network: bool) -> Running:
    """Builds the image and starts it with one worker and a copy of the repository.

    Returns when the image's own health check has succeeded. Raises InvalidAnswer if it fails.
    """
    folder.mkdir()
    port = processes.free_port() if host_network else None
    log = (folder / "log").open("wb")
    stack = _Stack(f"policyd-bench-{uuid.uuid4().hex[:8]}", _described(folder, port), log)
    running = Running([], log, ends=[stack.removal()])
    with ExitStack() as undo:
        undo.callback(running.stop)
        stack.run("build", "server")
        tar = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "tar", "server")
        stack.run(*tar, "-C", REPOSITORY, "-x", data=_packed(repository))
        began = int(time.time())
        stack.run("up", "--detach", "--no-deps", "server")
        container = stack.run("ps", "-q", "server")
        stack.await_health(container, began)
        running.roots.append(int(_output("docker", "inspect", "-f", "{{.State.Pid}}", container)))
        running.address = f"127.0.0.1:{port}" if port else stack.run("port", "server", "50051")
        undo.pop_all()
    return running


@dataclass
class _Stack:
    """One project of docker-compose, under a name of its own."""

    name: str
    file: Path
    log: IO[bytes]

    def run(self, *arguments: str, data: bytes = b"") -> str:
        """Returns what one docker-compose command prints. Raises InvalidAnswer if it fails."""
        return _output(*self._command(*arguments), data=data, errors=self.log)

    def removal(self) -> Callable[[], object]:
        """Returns a function that removes the containers, networks and volumes, and waits for that.

        A process of its own removes them when its input ends, so even if the benchmark is killed.
        """
        remove = shlex.join(self._command("down", "--volumes", "--timeout", "10"))
        remover = subprocess.Popen(
            ["sh", "-c", f"cat; exec {remove}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal would end it, too
        )
        return remover.communicate

    def await_health(self, container: str, since: int) -> None:
        """Waits for the engine's first word on the container's health, or for its end."""
        wanted = ("container=" + container, "event=health_status", "event=die")
        filters = [part for each in wanted for part in ("--filter", each)]
        span = ["--since", str(since), "--until", str(since + HEALTH_SECONDS)]
        command = ["docker", "events", *span, *filters, "--format", "{{.Action}}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as events:
            assert events.stdout is not None
            said = events.stdout.readline().strip()
            events.terminate()
        if said != "health_status: healthy":
            logs = self.run("logs", "--no-color", "server")[-2000:]
            raise InvalidAnswer(f"the container's health: {said or 'unknown'}\n{logs}")

    def _command(self, *arguments: str) -> list[str]:
        return ["docker-compose", "--project-name", self.name, "--file", str(self.file), *arguments]


def _described(folder: Path, port: int | None) -> Path:
    """Writes docker-compose's own description of the server, with one worker and free ports.

    With `port` the server uses the machine's network and listens on that port of loopback.
    """
    environment = {**os.environ, **ANY_PORT, "POLICYD_WORKERS": "1"}
    whole = yaml.safe_load(_output("docker-compose", "config", environment=environment))
    server = whole["services"]["server"]
    if port is not None:
        del server["networks"], server["ports"]
        server["network_mode"] = "host"
        server["environment"] |= {
            "POLICYD_LISTEN": f"127.0.0.1:{port}",
            "POLICYD_HTTP": "127.0.0.1:0",
            "POLICYD_METRICS": "127.0.0.1:0",
        }
    file = folder / "docker-compose.yml"
    file.write_text(yaml.safe_dump(whole | {"services": {"server": server}}))
    return file


def _packed(repository: Path) -> bytes:
    """The repository as a tar file that everybody may read."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for part in sorted(repository.iterdir()):
            tar.add(part, part.name)
    return packed.getvalue()


def _output(
    *command: str,
    data: bytes = b"",
    environment: dict[str, str] | None = None,
    errors: IO[bytes] | None = None,
) -> str:
    done = subprocess.run(
        command, input=data, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=CHECKOUT, check=False
    )
    if done.returncode != 0:
        where = f": {Path(errors.name).read_text()[-2000:]}" if errors else ""
        raise InvalidAnswer(f"{' '.join(command)} ended with {done.returncode}{where}")
    return done.stdout.decode().strip()
