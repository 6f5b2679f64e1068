"""The stack: a trainer, and a server that knows it. Stops in order: the server first."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from examples.stack.processes import START_SECONDS, ServiceProcess
from policyd.temporary import TemporaryFolder


@dataclass(frozen=True)
class StackSettings:
    """Where the stack keeps its files and listens. Port 0 takes a free port."""

    #: Repository, jobs, logs and port files are in this folder.
    folder: Path
    server_listen: str = "127.0.0.1:0"
    trainer_listen: str = "127.0.0.1:0"
    metrics_listen: str = "127.0.0.1:0"
    #: Seconds in which each of the two processes must listen.
    start_seconds: float = START_SECONDS
    #: More command-line arguments for the trainer, such as an allow-list.
    trainer_arguments: tuple[str, ...] = ()
    #: More command-line arguments for the server, such as `--http`.
    server_arguments: tuple[str, ...] = ()
    #: More environment variables for both. They override the machine's.
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def repository(self) -> Path:
        """The model repository."""
        return self.folder / "repository"


class Stack:
    """A trainer and a server that run during a `with` block, or from `begin` on."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self._running = contextlib.ExitStack()
        self._trainer_socket = ""
        self.exit_codes: dict[str, int] = {}

    def begin(self) -> None:
        """Starts both, without waiting for them. The `with` block waits, and ends them."""
        # Where the server finds the trainer is decided before either runs, because both start at
        # once. A socket's path has a length limit, and the stack's folder may be deep.
        folder = self._running.enter_context(TemporaryFolder("stack", sockets=True))
        self._trainer_socket = f"unix:{folder.path}/trainer"
        self.trainer, self.server = self._begin_trainer(), self._begin_server()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            starting.callback(self.close)
            if not self._trainer_socket:
                self.begin()
            self._await_trainer(self.trainer)
            self._await_server(self.server)
            starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_trainer(self) -> None:
        """Starts the trainer and waits until it listens."""
        self._await_trainer(self._begin_trainer())

    def start_server(self) -> None:
        """Starts the server and waits until it listens."""
        self._await_server(self._begin_server())

    def stop_server(self) -> None:
        """Stops the server alone; the trainer ends what it has begun."""
        self._stop(self.server)

    def _begin_trainer(self) -> ServiceProcess:
        at = self.settings
        listen = f"{at.trainer_listen},{self._trainer_socket}"
        return self._start(
            "trainer",
            *("policyd_trainer", "serve", "--listen", listen, "--repository", str(at.repository)),
            *("--jobs", f"sqlite:///{at.folder / 'jobs.db'}", *at.trainer_arguments),
            POLICYD_METRICS="",  # the variable's address is meant for the server
        )

    def _begin_server(self) -> ServiceProcess:
        at = self.settings
        return self._start(
            "server",
            *("policyd_server", "--listen", at.server_listen, "--repository", str(at.repository)),
            *("--trainer", self._trainer_socket, *at.server_arguments),
            POLICYD_METRICS=at.metrics_listen,
        )

    def _await_trainer(self, trainer: ServiceProcess) -> None:
        self.trainer = trainer
        self.trainer_address = trainer.address(self.settings.start_seconds).partition(",")[0]

    def _await_server(self, server: ServiceProcess) -> None:
        self.server = server
        self.server_address = server.address(self.settings.start_seconds)

    def check(self) -> None:
        """Raises ProcessFailure if one of the two has ended."""
        self.trainer.check()
        self.server.check()

    def close(self) -> None:
        """Stops the server, then the trainer. A running job goes on at the trainer's next start."""
        self._running.close()
        self._trainer_socket = ""  # it is gone with its folder

    def _start(self, name: str, *arguments: str, **variables: str) -> ServiceProcess:
        command = (sys.executable, "-m", *arguments)
        process = ServiceProcess(
            name, command, self.settings.folder, {**variables, **self.settings.variables}
        )
        self._running.callback(self._stop, process)
        return process

    def _stop(self, process: ServiceProcess) -> None:
        self.exit_codes[process.name] = process.stop()  # of one that has ended: its exit code again
