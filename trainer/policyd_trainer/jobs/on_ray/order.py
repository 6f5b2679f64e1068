"""The order that tells an actor what to run.

Known to both sides of the bridge, so nothing of Ray is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHARED = "shared"  # a file that the trainer writes into the run's folder: machines that see it share it


@dataclass(frozen=True)
class Order:
    """What an actor needs for one attempt. It travels as JSON."""

    job_id: str
    command: Sequence[str]
    run_dir: str  # a folder that all machines share, or a URL of object storage
    call_id: str  # of the call that asked for the job
    ran: float  # seconds that the workers of earlier attempts ran
