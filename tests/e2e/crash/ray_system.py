"""The same system with its workers on a Ray cluster, whose nodes and head are killed."""

from __future__ import annotations

import time
from pathlib import Path

from tests.e2e.crash.system import System
from tests.ray_cluster import VARIABLES, Node, RayCluster

NODES = 2
VICTIMS = ("node", "trainer", "head")
_START_SECONDS = 60.0  # seconds until the job's processes are seen on a node


class RaySystem(System):
    """One repository, one trainer, one server and one cluster.

    Checkpoints are in a folder that all machines share, or beside the versions in object storage.
    """

    def __init__(self, folder: Path, location: str = "", jobs: str = "", concurrency: int = 1) -> None:
        self._concurrency = concurrency
        self.cluster = RayCluster(NODES)
        try:
            super().__init__(folder, location, jobs)
        except BaseException:
            self.cluster.close()
            raise

    def kill(self, victim: str, job_id: str) -> None:
        """Kills with kill -9: `node` (the one with the job), `head`, or a part of any system."""
        if victim == "node":
            self.cluster.kill(self._node_of(job_id))
        elif victim == "head":
            self.cluster.head.kill()
        else:
            super().kill(victim, job_id)

    def restore(self) -> None:
        """Starts what is not running. Nodes of a lost head end by themselves."""
        if self.cluster.head.process.poll() is not None:
            self.cluster.start_head()
        for node in list(self.cluster.nodes):
            if node.process.poll() is not None:
                self.cluster.kill(node)
        while len(self.cluster.nodes) < NODES:
            self.cluster.add()
        super().restore()

    def close(self) -> None:
        """Ends everything."""
        super().close()
        self.cluster.close()

    def _node_of(self, job_id: str) -> Node:
        """The node that works on a job. If the job has already ended, any node."""
        while self.phase(job_id) not in ("SUCCEEDED", "FAILED", "CANCELLED"):
            for pid in self.workers(job_id):
                for node in self.cluster.nodes:
                    if pid in node.pids:
                        return node
            time.sleep(0.05)  # this happens on another machine: no event reaches this process
        return self.cluster.nodes[0]

    def worker(self, job_id: str) -> int:
        """A process of the job, as soon as there is one."""
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends:
            if pids := self.workers(job_id):
                return pids[0]
            time.sleep(0.1)  # it starts on another machine: no event reaches this process
        raise AssertionError(f"no process of {job_id} on any node")

    def _runs(self) -> tuple[str, ...]:
        return () if self.is_remote else super()._runs()

    def _variables(self) -> dict[str, str]:
        return super()._variables() | VARIABLES

    def _arguments(self, name: str) -> tuple[str, ...]:
        arguments = super()._arguments(name)
        if name == "trainer":
            arguments += ("--launcher", "ray", "--ray-address", self.cluster.address)
            arguments += ("--concurrency", str(self._concurrency))
        return arguments
