"""A real Ray cluster for tests.

Several nodes on addresses of the loopback interface, ended by process id.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from contextlib import suppress
from pathlib import Path

from policyd_trainer.guardian.tree import descendants
from tests.ports import free_ports

START_LIMIT = 120.0  # seconds; Ray itself gives up after 30
TRIES = 4
OBJECT_STORE = 100 * 2**20  # bytes
MARK = "POLICYD_TEST_NODE"
_STARTED = "Ray runtime started."
# A node ends itself soon after its head has gone. Ray's own default is 60 s.
VARIABLES = {
    "RAY_AUTH_MODE": "disabled",  # ignores a token that an earlier cluster left in the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    # Ray's own default is 15, to which jobs add 10: they would starve on a machine with other work.
    "RAY_worker_niceness": "0",
    "PYTHONUNBUFFERED": "1",
}


class Node:
    """One machine of the cluster: `ray start --block` and all processes below it."""

    def __init__(self, folder: Path, address: str, arguments: list[str]) -> None:
        self.address = address
        self._name = uuid.uuid4().hex
        self._agents: dict[int, bytes] = {}  # Ray's own processes, whose titles overwrite their environment
        self._mark = f"{MARK}={self._name}".encode()  # in the environment of all processes below
        self.log = folder / f"node-{address}.log"
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
        command += [f"--node-ip-address={address}", f"--object-store-memory={OBJECT_STORE}", *arguments]
        for attempt in range(1, TRIES + 1):
            if self._starts(command):
                self._agents = {pid: _began(pid) for pid in descendants(self.process.pid)}
                return
            self.kill()
            print(f"Ray did not start on {address} ({attempt} of {TRIES}); see {self.log}")  # noqa: T201
        raise RuntimeError(f"Ray did not start: {self.log.read_text()[-3000:]}")

    @property
    def pids(self) -> list[int]:
        """All processes of the node, also those of its jobs and orphans."""
        found = {self.process.pid, *descendants(self.process.pid)}
        found |= {pid for pid, began in self._agents.items() if _began(pid) == began}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):  # it has just ended
                if entry.name.isdigit() and self._mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
        return sorted(found)

    def kill(self) -> None:
        """Ends the node like a power failure: kill -9 of every process."""
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)  # so that it starts no new process meanwhile
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    def _starts(self, command: list[str]) -> bool:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | VARIABLES | {MARK: self._name},
                text=True,
            )
        started = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(started,), daemon=True)
        self._reader.start()
        return started.wait(START_LIMIT) and self._is_up

    def _read(self, started: threading.Event) -> None:
        assert self.process.stdout is not None
        self._is_up = False
        with self.process.stdout, self.log.open("a") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                if _STARTED in line:
                    self._is_up = True
                    started.set()
        started.set()  # the process has ended


class RayCluster:
    """A head, which runs no jobs, and nodes that run them."""

    def __init__(self, nodes: int = 2, cpus: int = 1) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets need a short path
        self._cpus = cpus
        self.ports = free_ports(2)
        self._next = 3
        self.nodes: list[Node] = []
        try:
            self.start_head()
            for number in range(nodes):
                self.add(f"zone={'ab'[number % 2]}")
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """The address for a trainer outside the cluster."""
        return f"ray://127.0.0.2:{self.ports[1]}"

    @property
    def gcs(self) -> str:
        """The address for the cluster's own machines."""
        return f"127.0.0.2:{self.ports[0]}"

    def start_head(self) -> None:
        """Starts the head on the same ports each time. It knows nothing of earlier heads.

        A lost head's nodes end by themselves. As long as one of them runs on this machine, Ray says
        that the head is running, and starts none.
        """
        for node in self.nodes:
            node.process.wait(START_LIMIT)
        arguments = ["--head", f"--port={self.ports[0]}", f"--ray-client-server-port={self.ports[1]}"]
        arguments += ["--num-cpus=0", "--include-dashboard=false", f"--temp-dir={self.folder / 'ray'}"]
        self.head = Node(self.folder, "127.0.0.2", arguments)

    def add(self, labels: str = "zone=a") -> Node:
        """Starts one more node."""
        arguments = [f"--address={self.gcs}", f"--num-cpus={self._cpus}", f"--labels={labels}"]
        node = Node(self.folder, f"127.0.0.{self._next}", arguments)
        self._next += 1
        self.nodes.append(node)
        return node

    def node_of(self, pid: int) -> Node:
        """The node of a process."""
        return next(node for node in self.nodes if pid in node.pids)

    def kill(self, node: Node) -> None:
        """Ends a node with kill -9."""
        node.kill()
        self.nodes.remove(node)

    def close(self) -> None:
        """Ends all started processes."""
        for node in [*self.nodes, *([self.head] if hasattr(self, "head") else [])]:
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _began(pid: int) -> bytes:
    """When a process started, which tells it from a later process with the same number."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19]
    return b""
