"""A small client for bidirectional streams.

Raw bytes, a fixed number in flight, answers counted.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from benchmarks.serving.protocols import InvalidAnswer, Protocol
from policy_api.v1 import policy_pb2

GRACE_SECONDS = 30.0  # seconds to begin, and to end, a stream


def answers_per_second(address: str, protocol: Protocol, *, in_flight: int, seconds: float) -> float:
    """The responses per second of one stream at batch 1.

    Raises:
        InvalidAnswer: a response is wrong, or its size differs from that of the first.
        TimeoutError: the responses stopped coming.
    """
    drive = _drive(address, protocol, in_flight, seconds)
    return asyncio.run(asyncio.wait_for(drive, seconds + GRACE_SECONDS))


async def _drive(address: str, protocol: Protocol, in_flight: int, seconds: float) -> float:
    assert protocol.stream_method is not None
    assert protocol.stream_request is not None
    message = protocol.stream_request(1)
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.stream_stream(protocol.stream_method)()
        for _ in range(in_flight):
            await call.write(message)
        size = len(check_first(protocol, await call.read()))
        await call.write(message)
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            answer = await call.read()
            if answer is grpc.aio.EOF or len(answer) != size:
                raise InvalidAnswer(f"answer {count} of the stream: {answer!r}")
            await call.write(message)
            count += 1
        await call.done_writing()
        while await call.read() is not grpc.aio.EOF:  # Triton crashes if a stream is cancelled
            pass
        return count / elapsed


def check_first(protocol: Protocol, answer: object) -> bytes:
    """The bytes of a stream's response, after a check that it contains one."""
    if not isinstance(answer, bytes):
        raise InvalidAnswer("the stream ended at once")
    if protocol.stream_method == "/policy_api.v1.PolicyService/StreamAct":
        valid = policy_pb2.StreamActResponse.FromString(answer).response.batch_size == 1
    elif protocol.stream_method == "/inference.GRPCInferenceService/ModelStreamInfer":
        valid = bool(service_pb2.ModelStreamInferResponse.FromString(answer).infer_response.outputs)
    else:
        valid = answer == (protocol.stream_request(1) if protocol.stream_request else None)
    if not valid:
        raise InvalidAnswer(f"not an answer: {answer!r}")
    return answer
