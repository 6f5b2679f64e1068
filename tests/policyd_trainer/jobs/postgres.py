"""A Postgres of the tests' own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

_USER = "postgres"  # Postgres refuses to run as root


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    url: str  # without a database name
    data: Path
    binaries: Path

    def new_database(self, options: str = "") -> str:
        """The URL of a new, empty database. `options` are those of CREATE DATABASE."""
        name = f"jobs_{uuid.uuid4().hex}"
        engine = sa.create_engine(f"{self.url}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} STRATEGY file_copy {options}"))
        engine.dispose()
        return f"{self.url}/{name}"

    def restart(self) -> None:
        """Ends every connection at once, as after a power failure, and starts again."""
        command = [str(self.binaries / "pg_ctl"), "-D", str(self.data), "-w", "-m", "immediate", "restart"]
        subprocess.run(_as_user(command), check=True, stdout=subprocess.DEVNULL)


def find_binaries() -> Path | None:
    """The folder of initdb and pg_ctl; None if there is none."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


@contextmanager
def running(binaries: Path) -> Iterator[Postgres]:
    """A server on a free port of loopback."""
    data = Path(tempfile.mkdtemp(prefix="policyd-postgres-"))
    if os.getuid() == 0:
        shutil.chown(data, _USER)
    initdb = [str(binaries / "initdb"), "-D", str(data), "-U", "policyd", "-A", "trust", "--no-sync"]
    subprocess.run(_as_user(initdb), check=True, stdout=subprocess.DEVNULL)
    port = _free_port()
    options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories= -c fsync=off"
    control = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(data / "log")]
    subprocess.run(_as_user([*control, "-o", options, "start"]), check=True, stdout=subprocess.DEVNULL)
    try:
        yield Postgres(f"postgresql+psycopg://policyd@127.0.0.1:{port}", data, binaries)
    finally:
        subprocess.run(_as_user([*control, "-m", "immediate", "stop"]), check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(data)


def _as_user(command: list[str]) -> list[str]:
    if os.getuid() != 0:
        return command
    pwd.getpwnam(_USER)
    return ["runuser", "-u", _USER, "--", *command]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Debian's Postgres on loopback, with its own data folder."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no Postgres is installed (Debian: apt-get install postgresql)")
    with running(binaries) as postgres:
        yield postgres
