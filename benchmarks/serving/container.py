"""The server out of its image, where there is a container engine.

The container shares the machine's network. It ends with the benchmark, but not with a benchmark
that is killed by SIGKILL.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from importlib.metadata import version
from pathlib import Path

from benchmarks.serving import processes
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import InvalidAnswer

START_SECONDS = 60.0


def image() -> str:
    """The image that docker-compose builds, or the one that POLICYD_BENCH_IMAGE names."""
    return os.environ.get("POLICYD_BENCH_IMAGE", f"policyd-server:{version('policyd')}")


def is_there() -> bool:
    """Whether an engine responds and has the image."""
    if shutil.which("docker") is None:
        return False
    look = ["docker", "image", "inspect", image()]
    return subprocess.run(look, capture_output=True, check=False).returncode == 0


def start(folder: Path, repository: Path) -> Running:
    """Starts the image with one worker, with HTTP and metrics on free ports."""
    folder.mkdir()
    mounted = folder / "repository"
    shutil.copytree(repository, mounted)
    for path in (folder.parent, folder, mounted, *mounted.rglob("*")):  # the image runs as another user
        path.chmod(path.stat().st_mode | 0o055)
    port, name = processes.free_port(), f"policyd-bench-{uuid.uuid4().hex[:8]}"
    docker = [str(shutil.which("docker")), "run", "--rm", "--init", "--name", name, "--network", "host"]
    docker += ["--volume", f"{mounted}:/repository", image(), "--repository", "/repository", "--workers", "1"]
    docker += ["--listen", f"127.0.0.1:{port}", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]
    running = processes.start([docker], log=folder / "log", cwd=folder)
    running.address = f"127.0.0.1:{port}"
    running.roots.append(_process(name, running))
    return running


def _process(name: str, running: Running) -> int:
    """The process id of the container's first process."""
    deadline = time.monotonic() + START_SECONDS
    look = ["docker", "inspect", "-f", "{{.State.Pid}}", name]
    while True:
        found = subprocess.run(look, capture_output=True, text=True, check=False).stdout.strip()
        if found.isdigit() and int(found):
            return int(found)
        if running.exited() or time.monotonic() > deadline:
            running.stop()
            raise InvalidAnswer(f"the container did not start: {Path(running.log.name).read_text()[-2000:]}")
        time.sleep(0.1)  # the engine reports on containers only when asked
