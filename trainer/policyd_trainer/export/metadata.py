"""What an artifact says about itself."""

from __future__ import annotations

import functools
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from policy_api.v1 import artifact_pb2
from policyd_trainer.config import TrainingConfig
from policyd_trainer.estimators.normalization import RunningMoments
from policyd_trainer.spaces.actions import ActionCodec
from policyd_trainer.spaces.observations import ObservationEncoder

FORMAT = 1
LARGEST_STATISTICS = 4096  # most numbers of an observation with statistics; an image's would make megabytes
PACKAGES = ("policyd", "torch", "gymnasium", "numpy", "onnx", "onnxruntime")


def describe(
    config: TrainingConfig,
    encoder: ObservationEncoder,
    codec: ActionCodec,
    moments: RunningMoments | None,
) -> artifact_pb2.PolicyMetadata:
    """All metadata except figures of training, evaluation and parity, which are added later."""
    metadata = artifact_pb2.PolicyMetadata(
        format=FORMAT,
        policy=config.policy,
        observation_space=encoder.describe(),
        action_space=codec.describe(),
        distribution=codec.describe_distribution(),
        algorithm=config.algorithm,
        env_id=config.env_id,
        settings=config.settings(),
        seed=config.seed,
        packages=_packages(),
        git_commit=_git_commit(),
        has_value=config.has_critic,
        has_action_mask=encoder.mask_width > 0,
    )
    metadata.create_time.GetCurrentTime()
    observed = encoder.observed  # the mask is not part of the observation
    if moments is not None and observed <= LARGEST_STATISTICS:
        mean, std = moments.mean[:observed].tolist(), moments.std[:observed].tolist()
        statistics = artifact_pb2.ObservationStatistics(mean=mean, std=std, count=moments.count)
        metadata.observation_statistics.CopyFrom(statistics)
    return metadata


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@functools.cache
def _git_commit() -> str:
    """The git commit of the checkout that this code runs from; empty outside a checkout."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
