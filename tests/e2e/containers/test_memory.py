"""An image policy within compose's own memory limit, on a real engine.

A promotion holds two versions of 84x84x4 policies in memory. Run by `make e2e`.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.images import POLICY, SHAPE, described, made, publish
from policyd.repository import ModelRepository
from tests.e2e.containers.compose import Acting, Compose, Policyctl, await_that, run

pytestmark = [
    pytest.mark.skipif("POLICYD_E2E" not in os.environ, reason="needs a container engine: make e2e"),
    pytest.mark.timeout(1200),
]

VERSIONS = 6
GIB = 2**30
BATCHES = (1, 32, 256)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The server alone, limited as in the compose file, with the versions in its repository."""
    compose = Compose("docker-compose.yml")
    compose("down", "--volumes", "--remove-orphans")
    compose("build", "server", seconds=890)
    tar = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "tar", "server")
    repository = _packed(tmp_path_factory.mktemp("repository"))
    compose(*tar, "-C", "/var/lib/policyd/repository", "-x", data=repository)
    compose("up", "--detach", "--no-deps", "server")
    compose.await_health("server")
    yield compose
    print(compose("logs", "--no-color").decode()[-8000:])  # noqa: T201  for a test that failed
    compose("down", "--volumes", "--remove-orphans")


def _player(address: str) -> Acting:
    return Acting(address, POLICY, [np.zeros((rows, *SHAPE), np.uint8) for rows in BATCHES], pause=0)


def test_promotions_of_an_image_policy_kill_no_worker(compose: Compose) -> None:
    """While clients send images, versions are promoted: no call fails, and no process is killed."""
    [container] = compose.containers("server")
    assert int(run("docker", "inspect", "-f", "{{.HostConfig.Memory}}", container)) == GIB
    policyctl = Policyctl(compose.address("server", 50051))
    await_that(lambda: bool(policyctl("policies")["policies"]), 60, "the policy is served")
    with _player(policyctl.address) as first, _player(policyctl.address) as second:
        for version in [*range(2, VERSIONS + 1), *range(1, VERSIONS + 1)]:
            policyctl("promote", str(version), "--policy", POLICY)
            assert policyctl.champion()[0] == version
    assert first.failures + second.failures == []
    assert min(first.answered, second.answered) > 0
    logs = compose("logs", "--no-color", "server").decode()
    assert "was killed" not in logs
    assert "Traceback" not in logs
    events = run("docker", "exec", container, "sh", "-c", _OOM_KILLS).decode().split()
    assert events == ["0"], logs[-2000:]
    state = "{{.RestartCount}} {{.State.OOMKilled}}"
    assert run("docker", "inspect", "-f", state, container).split() == [b"0", b"false"]


# How often the kernel killed a process of the container, in version 1 and 2 of cgroups.
_OOM_KILLS = (
    "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null"
    " | while read name count; do [ $name != oom_kill ] || echo $count; done"
)


def _packed(folder: Path) -> bytes:
    """A repository with the versions, as a tar file. Version 1 is the champion."""
    models = ModelRepository(folder)
    publish(models)
    for seed in range(1, VERSIONS):
        models.publish(POLICY, {"model.onnx": made(described(), seed)}, metadata=described())
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("aliases", "models"):
            tar.add(folder / name, name)
    return packed.getvalue()
