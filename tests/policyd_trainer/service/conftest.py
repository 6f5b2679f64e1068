"""`policyd-trainer serve` as a real process, and a stub that talks to it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import grpc
import pytest

from policy_api.v1.training_pb2_grpc import TrainingServiceStub
from tests.policyd_trainer.jobs.postgres import postgres

__all__ = ["postgres"]  # a fixture of another folder

ROOT = Path(__file__).parents[3]
Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Starts the service and yields its address.

    At the end it gets SIGTERM, or has ended by itself with `code`.
    """

    @contextmanager
    def serve(repository: Path | str, *options: str, code: int = 0) -> Iterator[str]:
        os.mkfifo(port_file := tmp_path_factory.mktemp("serve") / "port")
        command = [sys.executable, "-m", "policyd_trainer", "serve", "--listen", "127.0.0.1:0"]
        command += ["--repository", str(repository), "--port-file", str(port_file), *options]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": f"{ROOT}/proto"})
        try:
            yield port_file.read_text().strip()  # a FIFO, so reading waits until the address is written
            if code == 0:
                process.send_signal(signal.SIGTERM)
            assert process.wait(60) == code
        finally:
            process.kill()
            process.wait()

    return serve


@pytest.fixture(scope="module")
def address(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with default options, shared by the module's tests."""
    with serve(tmp_path_factory.mktemp("repository")) as address:
        yield address


@pytest.fixture(scope="module")
def stub(address: str) -> Iterator[TrainingServiceStub]:
    with grpc.insecure_channel(address) as channel:
        yield TrainingServiceStub(channel)
