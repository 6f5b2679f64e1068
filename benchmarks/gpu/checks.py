"""The GPU tests that need torch only: GPU and CPU, graph and eager calls agree."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
from collections.abc import Iterator

import torch

from benchmarks.gpu.tasks import Task, task

ROLLOUTS = 5
TOLERANCE = 5e-3  # largest difference of weights after six rollouts, for sums in different orders


def run(device: torch.device) -> Iterator[dict[str, object]]:
    """Yields each check's name, whether it holds, and what was seen."""
    small = task("CartPole-v1", 32, seeds=2)
    yield _agree("devices agree", small, device)
    yield _agree("devices agree, Pendulum", task("Pendulum-v1", 32), device)
    yield _graph(small, device)
    yield _anew(small, device)
    yield _pytest(device)


def _agree(name: str, each: Task, device: torch.device) -> dict[str, object]:
    """Checks that CPU and device get the same weights from the same random numbers."""
    found = []
    for place in (torch.device("cpu"), device):
        loop = each.on_device(place)
        for _ in range(ROLLOUTS):
            loop.advance(loop.rates())
        loop.check_finite()
        found.append(loop.program.learner.parameters.cpu())
    difference = float((found[0] - found[1]).abs().max())
    return {"check": name, "holds": difference < TOLERANCE, "seen": f"largest difference {difference:.1e}"}


def _graph(each: Task, device: torch.device) -> dict[str, object]:
    """Checks that a recorded rollout and update give the same as eager ones."""
    if device.type != "cuda":
        return {"check": "graph is eager", "holds": None, "seen": "not run: there is no GPU"}
    found = []
    for capture in (False, True):
        loop = each.on_device(device, capture=capture)
        for _ in range(ROLLOUTS):
            loop.advance(loop.rates())
        found.append(loop.program.learner.parameters.cpu())
    difference = float((found[0] - found[1]).abs().max())
    return {"check": "graph is eager", "holds": difference < TOLERANCE, "seen": f"{difference:.1e}"}


def _anew(each: Task, device: torch.device) -> dict[str, object]:
    """Checks that two rollouts draw different actions, also from a replayed graph."""
    loop = each.on_device(device)
    seen = []
    for _ in range(ROLLOUTS):
        loop.advance(loop.rates())
        loop.runner.synchronize()
        seen.append(loop.program.storage.actions.clone())
    different = not any(torch.equal(a, b) for a, b in itertools.pairwise(seen))
    return {"check": "rollouts draw anew", "holds": different, "seen": f"{len(seen)} rollouts"}


def _pytest(device: torch.device) -> dict[str, object]:
    """Runs the tests marked gpu, if pytest and Gymnasium are installed."""
    missing = [name for name in ("pytest", "gymnasium") if not _is_there(name)]
    if missing or device.type != "cuda":
        why = f"{' and '.join(missing)} missing" if missing else "there is no GPU"
        return {"check": "pytest -m gpu", "holds": None, "seen": f"not run: {why}"}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/policyd_trainer/algorithms"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return {"check": "pytest -m gpu", "holds": None, "seen": "not run to its end: 60 s were over"}
    last = (done.stdout.strip().splitlines() or ["no output"])[-1]
    return {"check": "pytest -m gpu", "holds": done.returncode == 0, "seen": last}


def _is_there(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
