"""The adapter between domain errors and gRPC calls, over real servers."""

# ruff: noqa: N802 -- gRPC names the methods

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
import pytest

from policy_api.v1 import training_pb2 as pb
from policy_api.v1 import training_pb2_grpc as stubs
from policyd import errors
from policyd.runtime import rpc, status

SENT_AS_IT_IS = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")  # in gRPC's encoding


def _error_for(job_id: str) -> Exception:
    if job_id == "secret":
        return KeyError("the database's password")
    return errors.NotFound(f"no job {job_id}", reason="NO_SUCH_JOB")


class _AioService(stubs.TrainingServiceServicer):
    @rpc.unary
    async def GetTrainingJob(
        self, request: pb.GetTrainingJobRequest, context: Any
    ) -> pb.GetTrainingJobResponse:
        raise _error_for(request.job_id)

    @rpc.stream
    async def WatchTrainingJob(
        self, request: pb.WatchTrainingJobRequest, context: Any
    ) -> AsyncIterator[pb.WatchTrainingJobResponse]:
        yield pb.WatchTrainingJobResponse()
        raise _error_for(request.job_id)


def _failures(port: int, job_id: str) -> Iterator[errors.PolicydError]:
    """The errors that a unary call and a stream's second message raise at the client."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = stubs.TrainingServiceStub(channel)
        with pytest.raises(grpc.RpcError) as unary:
            stub.GetTrainingJob(pb.GetTrainingJobRequest(job_id=job_id), timeout=60)
        yield status.from_rpc_error(unary.value)
        watch = stub.WatchTrainingJob(pb.WatchTrainingJobRequest(job_id=job_id), timeout=60)
        next(watch)
        with pytest.raises(grpc.RpcError) as streamed:
            next(watch)
        yield status.from_rpc_error(streamed.value)


def _over_asyncio(job_id: str) -> list[errors.PolicydError]:
    async def run() -> list[errors.PolicydError]:
        server = grpc.aio.server()
        stubs.add_TrainingServiceServicer_to_server(_AioService(), server)  # type: ignore[abstract]  # two are enough
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await asyncio.to_thread(lambda: list(_failures(port, job_id)))
        finally:
            await server.stop(None)

    return asyncio.run(run())


def test_a_domain_error_arrives_as_itself() -> None:
    """The client gets a domain error with its code, message and reason.

    That holds in calls and in streams.
    """
    for failure in _over_asyncio("7"):
        assert isinstance(failure, errors.NotFound)
        assert (failure.message, failure.reason) == ("no job 7", "NO_SUCH_JOB")


def test_an_unexpected_error_stays_inside(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets a generic INTERNAL. The log has the whole error."""
    with caplog.at_level(logging.ERROR, logger="policyd.runtime.rpc"):
        for failure in _over_asyncio("secret"):
            assert isinstance(failure, errors.Internal)
            assert "password" not in failure.message
    assert "password" in caplog.text


def test_a_long_message_still_fits_into_the_headers() -> None:
    """Messages and fields are shortened, because over the limit gRPC drops the whole status.

    That holds in any alphabet.
    """
    for character in ("x", "%", "\n", "é", "行", "🦆", "\udc80"):
        text = character * 100_000
        violations = tuple(errors.FieldViolation(text, text) for _ in range(100))
        failure = rpc.failure_of(errors.InvalidArgument(text, violations=violations))
        headers = [len(value) * 4 / 3 for _, value in failure.trailing_metadata]  # base64
        assert len(quote(failure.message, safe=SENT_AS_IT_IS)) + sum(headers) < 7500
        assert failure.message.endswith("...")
