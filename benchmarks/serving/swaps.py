"""Latency while versions are swapped under load, against the same load without swaps."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import grpc

from benchmarks.serving import h2load
from benchmarks.serving.policy import POLICY
from benchmarks.serving.processes import Running
from benchmarks.serving.protocols import ACT, InvalidAnswer
from benchmarks.serving.results import SwapMeasurement
from policy_api.v1 import policy_pb2, policy_pb2_grpc

CONNECTIONS = 8


@dataclass(frozen=True)
class SwapPlan:
    """The number of swaps, and the seconds between them."""

    swaps: int = 20
    interval: float = 0.25

    @property
    def seconds(self) -> float:
        """The length of the load, with a margin after the last swap."""
        return self.swaps * self.interval + 1.0


def measure(
    contestant: str, running: Running, answer_bytes: int, number: int, plan: SwapPlan
) -> SwapMeasurement:
    """Measures one round: the load alone, then the load with swaps."""
    quiet = h2load.act(running.url, answer_bytes, CONNECTIONS, plan.seconds)
    failures: list[Exception] = []
    swapper = threading.Thread(target=_swap, args=(running.address, plan, failures))
    swapper.start()
    busy = h2load.act(running.url, answer_bytes, CONNECTIONS, plan.seconds)
    swapper.join()
    if failures:
        raise failures[0]
    return SwapMeasurement(
        contestant, number, quiet.percentile(99), busy.percentile(99), busy.percentile(100), plan.swaps
    )


def _swap(address: str, plan: SwapPlan, failures: list[Exception]) -> None:
    """Points the alias to the other version again and again.

    It checks each time that the other version then responds.
    """
    try:
        with grpc.insecure_channel(address) as channel:
            stub = policy_pb2_grpc.PolicyServiceStub(channel)
            for number in range(plan.swaps):
                started = time.monotonic()
                wanted = 2 - number % 2
                stub.SetAlias(policy_pb2.SetAliasRequest(policy=POLICY, version=wanted, actor="benchmark"))
                found = stub.Act(policy_pb2.ActRequest.FromString(ACT.request(1))).version
                if found != wanted:
                    raise InvalidAnswer(f"version {found} answers after a promotion of {wanted}")
                time.sleep(max(0.0, plan.interval - (time.monotonic() - started)))
    except (grpc.RpcError, InvalidAnswer) as error:
        failures.append(error)
