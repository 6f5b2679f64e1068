"""The options with which a continuous job was started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from policy_api.v1.training_pb2 import Spaces as SpacesMessage
from policyd_trainer.gate.judging import Promotion


@dataclass(frozen=True)
class JobOptions:
    """What a continuous job was asked for."""

    policy: str
    promotion: Promotion = field(default_factory=lambda: Promotion(promote=True))
    settings: dict[str, str] = field(default_factory=dict)  # of the algorithm
    algorithm: str = ""  # empty: as the version that the job starts from
    env_id: str = ""  # what the gate plays; empty: there is no gate
    seed: int = 0  # of the first version, where there is none
    spaces: SpacesMessage | None = None  # of the first version, where there is none
    job_id: str = ""
    run_dir: Path | None = None  # of the checkpoint; None: no checkpoint
