"""What the bridge's process is started with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from policyd_trainer.jobs.on_ray.launcher import _environment

CALL = """
import ray
from ray.exceptions import RayError
try:
    ray.get_actor("somebody")
except (RayError, ValueError) as error:
    print(type(error).__name__)
print(ray.is_initialized())
"""


def test_a_call_without_a_connection_starts_no_cluster() -> None:
    """Without that, a bridge that lost the head would run jobs on the trainer's own machine."""
    pytest.importorskip("ray")
    ran = subprocess.run(
        [sys.executable, "-c", CALL], env=_environment(), capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["RaySystemError", "False"]
