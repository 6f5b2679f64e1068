"""A process that publishes and promotes, to be killed by the tests.

python writer.py ROOT NAME          publishes and promotes until it is killed, a line of JSON for
each python writer.py ROOT --each-step   one child per step of a publication, killed at that step
"""

import hashlib
import json
import os
import random
import signal
import sys
from itertools import count
from pathlib import Path

from policy_api.v1 import artifact_pb2
from policyd.repository import ModelRepository, location

SPACE = artifact_pb2.Space(box=artifact_pb2.BoxSpace(shape=[4], dtype="float32"))
DISTRIBUTION = artifact_pb2.Distribution(categorical=artifact_pb2.CategoricalDistribution(n=2))
# Python's audit events for calls that change the file system, and for opening files.
STEPS = {"open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir", "fcntl.flock"}


def publish_and_promote(
    repository: ModelRepository, policy: str, job_id: str, size: int
) -> dict[str, object]:
    """Publishes one version and promotes it, as a trainer does."""
    metadata = artifact_pb2.PolicyMetadata(policy=policy, observation_space=SPACE, distribution=DISTRIBUTION)
    content = random.randbytes(size)
    published = repository.publish(policy, {"model.onnx": content}, metadata=metadata, job_id=job_id)
    state = repository.set_alias(policy, "champion", published.version, actor=job_id, reason="newest")
    digest = hashlib.sha256(content).hexdigest()
    return {"version": published.version, "digest": digest, "generation": state.generation, "job_id": job_id}


def forever(root: Path | str, name: str) -> None:
    """Works until the process is killed."""
    repository = ModelRepository(root)
    for number in count():
        done = publish_and_promote(repository, "cartpole", f"{name}-{number}", random.randrange(300_000))
        sys.stdout.write(json.dumps(done) + "\n")
        sys.stdout.flush()


def at_each_step(root: Path | str) -> None:
    """Kills a child at its first step, the next one at its second, and so on until one finishes.

    Each has a policy of its own, so that all take the same steps.
    """
    repository = ModelRepository(root)
    for step in count():
        child = os.fork()
        if child == 0:
            _kill_at(step)
            publish_and_promote(repository, f"policy-{step}", "job", 1000)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        again = publish_and_promote(repository, f"policy-{step}", "job", 1000)
        sys.stdout.write(json.dumps(again) + "\n")


def _kill_at(step: int) -> None:
    seen = count()

    def hook(event: str, _: object) -> None:
        if event in STEPS and next(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    if sys.argv[2] == "--each-step":
        at_each_step(location(sys.argv[1]))
    else:
        forever(location(sys.argv[1]), sys.argv[2])
