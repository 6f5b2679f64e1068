"""The options with which a continuous job was started."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from policy_api.v1.training_pb2 import Spaces as SpacesMessage
from policyd_trainer.gate.judging import Promotion


@dataclass(frozen=True)
class JobOptions:
    """The options of a continuous job."""

    policy: str
    promotion: Promotion = field(default_factory=lambda: Promotion(promote=True))
    settings: dict[str, str] = field(default_factory=dict)  # the algorithm's settings
    algorithm: str = ""  # empty: that of the version that the job starts from
    env_id: str = ""  # the environment that the gate plays; empty: there is no gate
    seed: int = 0  # for the first version, if there is none yet
    spaces: SpacesMessage | None = None  # for the first version, if there is none yet
    job_id: str = ""
    run_dir: Path | None = None  # the checkpoint's folder; None: no checkpoint
