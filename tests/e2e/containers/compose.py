"""The stack of docker-compose.yml, and policyctl against it.

Its project name is the test's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from policyd import PolicyClient
from policyd.errors import PolicydError

TOP = Path(__file__).parents[3]
PROJECT = "policyd-e2e"
STAND_INS = ("envoy", "prometheus", "postgres")  # of deploy/stand-ins
STANDING = [[0.0, 0.0, 0.0, 0.0]]  # a pole that is upright
SCALED = ("docker-compose.yml", "docker-compose.scale.yml")


def run(*command: str, seconds: float = 120, data: bytes | None = None) -> bytes:
    """Runs a command and returns its output. On failure the error shows all of it."""
    done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, cwd=TOP, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-4000:].decode(errors="replace")
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {said}")
    return done.stdout


def await_that(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits until the condition holds. There is no event across containers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.5)
    raise AssertionError(f"after {seconds:.0f} s still not: {what}")


class Compose:
    """docker-compose with one set of files. Ports are free ports of loopback."""

    def __init__(self, *files: str) -> None:
        self._files = [argument for file in files for argument in ("-f", file)]
        os.environ.update(
            POLICYD_PORT="",
            POLICYD_HTTP_PORT="",
            POLICYD_METRICS_PORT="",
            POLICYD_ENVOY_PORT="0",
            PROMETHEUS_PORT="0",
            TENSORBOARD_PORT="0",
            MLFLOW_PORT="0",
        )
        os.environ.update({f"{name.upper()}_IMAGE": f"policyd-e2e-{name}" for name in STAND_INS})

    def __call__(self, *arguments: str, seconds: float = 120, data: bytes | None = None) -> bytes:
        """Runs one docker-compose command."""
        return run("docker-compose", "-p", PROJECT, *self._files, *arguments, seconds=seconds, data=data)

    def containers(self, service: str) -> list[str]:
        """Ids of a service's containers, stopped ones included."""
        return self("ps", "-q", service).decode().split()

    def await_health(self, *services: str, seconds: float = 90) -> None:
        """Waits until every container of the services is healthy."""

        def healthy() -> bool:
            found = [c for service in services for c in self.containers(service)]
            form = "{{.State.Health.Status}}"
            return all(run("docker", "inspect", "-f", form, c).strip() == b"healthy" for c in found)

        await_that(healthy, seconds, f"healthy: {services}")

    def address(self, service: str, port: int, index: int = 1) -> str:
        """The address of a published port."""
        return self("port", f"--index={index}", service, str(port)).decode().strip()


def build_stand_in(name: str) -> None:
    """Builds an image here that otherwise comes from a registry."""
    file = f"deploy/stand-ins/{name}.Dockerfile"
    run("docker", "build", "-q", "-f", file, "-t", f"policyd-e2e-{name}", "deploy/stand-ins", seconds=600)


class Policyctl:
    """policyctl --json for one address."""

    def __init__(self, address: str, *options: str) -> None:
        self.address = address
        self._options = options

    def __call__(self, *arguments: str, seconds: float = 120) -> Any:
        """The document that policyctl prints."""
        command = [sys.executable, "-m", "policyd", "--server", self.address, *self._options]
        command += ["--json", *arguments]
        return json.loads(run(*command, seconds=seconds).decode().splitlines()[-1])

    def champion(self) -> tuple[int, str]:
        """Number and digest of the champion of the only policy."""
        [policy] = self("policies")["policies"]
        [alias] = [a for a in policy["aliases"] if a["name"] == "champion"]
        [version] = [v for v in policy["versions"] if v["version"] == alias["serving_version"]]
        return version["version"], version["digest"]


class Acting:
    """Asks for actions in the background of a `with` block, one call after the other."""

    def __init__(
        self,
        address: str,
        policy: str = "cartpole",
        batches: Sequence[Any] = (STANDING,),
        pause: float = 0.05,
    ) -> None:
        """`batches` are rows of observations, sent in turn; `pause` is seconds between calls."""
        self.answered = 0
        self.failures: list[str] = []
        self._address, self._policy = address, policy
        self._batches, self._pause = batches, pause
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        with PolicyClient(self._address, timeout=60) as client:
            while not self._enough.wait(self._pause):
                try:
                    client.act(self._batches[self.answered % len(self._batches)], policy=self._policy)
                    self.answered += 1
                except PolicydError as error:
                    self.failures.append(error.message)
