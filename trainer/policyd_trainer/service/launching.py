"""The launcher that `serve --launcher` names."""

from __future__ import annotations

import importlib.util
import uuid

import click

from policyd_trainer.jobs.launcher import Launcher
from policyd_trainer.jobs.local import LocalLauncher
from policyd_trainer.jobs.on_ray.launcher import RayLauncher
from policyd_trainer.jobs.runs import Runs

_NAMESPACE = "ray-namespace"  # its key among the runs


def make_launcher(name: str, ray_address: str, runs: Runs) -> Launcher:
    """The launcher `local` or `ray`.

    Raises:
        UsageError: the extra `ray` is not installed.
        Unavailable: the runs' object storage cannot be reached.
    """
    if name == "local":
        return LocalLauncher()
    if importlib.util.find_spec("ray") is None:
        raise click.UsageError("--launcher ray needs an extra: pip install 'policyd[trainer,ray]'")
    # The namespace of this trainer's actors in the cluster. It is made once and kept with the
    # checkpoints. So several trainers may use one cluster, and each finds its own actors after a
    # restart.
    return RayLauncher(ray_address, runs.name_once(_NAMESPACE, f"policyd-{uuid.uuid4().hex[:12]}"))
