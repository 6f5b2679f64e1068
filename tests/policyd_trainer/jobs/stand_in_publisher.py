"""A worker process that only publishes, for real: `stand_in_publisher.py publish RUN_DIR`."""

import json
import os
import sys
from pathlib import Path

from policy_api.v1 import artifact_pb2
from policyd.repository import ModelRepository


def say(**event: object) -> None:
    """Writes one line of JSON, like a worker."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    root = Path(sys.argv[2]).parents[1] / "repository"
    metadata = artifact_pb2.PolicyMetadata.FromString((root / "metadata").read_bytes())
    say(progress={"phase": "PUBLISHING", "fraction": 0.98, "elapsed": "1s"})
    published = ModelRepository(root).publish(
        "cartpole", {"model.onnx": b""}, metadata=metadata, job_id=os.environ["POLICYD_JOB_ID"]
    )
    say(progress={"phase": "PROMOTING", "fraction": 0.99, "elapsed": "1s"})
    say(result={"policy": "cartpole", "version": published.version})
