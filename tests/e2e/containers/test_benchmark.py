"""The serving benchmark's contestant out of the image, on a real engine. Run by `make e2e`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.serving.policy import POLICY, observations, publish
from policyd import PolicyClient
from tests.e2e.containers.compose import TOP, await_that, run

pytestmark = [
    pytest.mark.skipif("POLICYD_E2E" not in os.environ, reason="needs a container engine: make e2e"),
    pytest.mark.timeout(900),
]

BENCHMARK = """
import pathlib, sys
from benchmarks.serving import container
folder = pathlib.Path(sys.argv[1])
running = container.start(folder / "image", folder / "repository", host_network=sys.argv[2] == "host")
commands = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running.pids()]
print(running.address, any(b"policyd_server" in command for command in commands), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("network", ["compose", "host"])
def test_the_container_responds_and_a_killed_benchmark_leaves_nothing(tmp_path: Path, network: str) -> None:
    """Its processes are found, and its containers, networks and volumes are removed in any case."""
    publish(tmp_path / "repository")
    command = [sys.executable, "-c", BENCHMARK, str(tmp_path), network]
    with subprocess.Popen(
        command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as benchmark:
        assert benchmark.stdout is not None
        address, found = benchmark.stdout.readline().split()
        assert found == "True"
        assert _left() != []
        with PolicyClient(address, timeout=60) as client:
            assert client.act(observations(1), policy=POLICY, seed=7).version == 1
        benchmark.kill()
    await_that(lambda: _left() == [], 90, "the containers, networks and volumes are removed")


def _left() -> list[str]:
    """What the engine has of the benchmark."""
    of_it = ("--quiet", "--filter", "name=policyd-bench-")
    listed = [run("docker", *what, *of_it) for what in (("ps", "--all"), ("network", "ls"), ("volume", "ls"))]
    return b"".join(listed).decode().split()
