"""`make fuzz` asks a server and a trainer of this checkout for a while.

Each run takes another seed.

usage: python -m tests.contract.fuzz [--seconds 60] [--seed N]
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

import grpc

from examples.stack import Stack, StackSettings
from policyd.repository import ModelRepository
from tests.contract.fuzz.fuzzer import Fuzzer
from tests.contract.fuzz.requests import valid_requests
from tests.policyd_server import artifacts

ROUND = 200  # cases between two checks of the time


def main() -> int:
    """Prints the results. Returns 1 if a case ended in a way that is not allowed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    # No environment is allowed, so that no case starts a training.
    with tempfile.TemporaryDirectory() as folder:
        settings = StackSettings(Path(folder), trainer_arguments=("--allow-env", "nothing:*"))
        with Stack(settings) as stack, grpc.insecure_channel(stack.server_address) as channel:
            described = artifacts.metadata("cartpole")
            repository = ModelRepository(settings.repository)
            repository.publish("cartpole", {"model.onnx": artifacts.model(described)}, metadata=described)
            repository.set_alias("cartpole", "champion", 1, actor="fuzz", reason="fuzz")
            fuzzer = Fuzzer(channel, valid_requests("cartpole", 4), options.seed)
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                fuzzer.run(ROUND)
    return report(fuzzer)


def report(fuzzer: Fuzzer) -> int:
    """Prints a table of the codes, and each finding. Returns 1 if there is one."""
    found = fuzzer.findings
    for (method, code), count in sorted(found.codes.items()):
        print(f"{count:7} {code:20} {method}")
    for case, said in found.wrong[:50]:
        print(f"WRONG {case.method} {said}\n      {[payload[:80] for payload in case.payloads]}")
    print(f"{sum(found.codes.values())} calls, {len(found.wrong)} wrong")
    return int(bool(found.wrong))


if __name__ == "__main__":
    sys.exit(main())
