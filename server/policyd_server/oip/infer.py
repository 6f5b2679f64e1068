"""ModelInfer from message to message.

It runs on an event loop, or in a transport's own thread.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

from tritonclient.grpc import service_pb2 as pb

from policyd.errors import PolicydError
from policyd.runtime import log
from policyd_server.acting.actor import Actor
from policyd_server.acting.direct import Conversation, PendingRequest, Unary
from policyd_server.acting.ticket import Decision, Ticket
from policyd_server.models.version import LoadedVersion
from policyd_server.oip import request as requests
from policyd_server.oip import response
from policyd_server.oip.request import Wanted
from policyd_server.oip.statistics import Statistics

PATH = "/inference.GRPCInferenceService/ModelInfer"
STREAM_PATH = "/inference.GRPCInferenceService/ModelStreamInfer"
FINAL = "triton_final_response"

_LOG = logging.getLogger(__name__)


class Inference(Unary):
    """Answers inference requests with the batcher that also answers Act, and counts them."""

    path = PATH  # the method's path, for a transport that serves it without an event loop

    def __init__(self, actor: Actor, statistics: Statistics) -> None:
        self._actor = actor
        self._statistics = statistics

    async def infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Returns the response of the version that the request names. Loads it if necessary."""
        received = time.perf_counter()
        names = requests.names(request)
        resolver = self._actor.resolver
        model = resolver.at_hand(*names) or await resolver.find(*names)
        wanted = self._decoded(request, model, received)
        decoded = time.perf_counter()
        try:
            decision = await self._actor.decide(wanted.ticket)
        except Exception:
            self._count_failure(model, received)
            raise
        return self._encoded(wanted, decision, request.id, received, decoded)

    def open(self) -> Conversation:
        """Returns itself."""
        return self

    def begin(self, payload: bytes) -> PendingRequest | None:
        """Returns the request to queue.

        None: its version is not in memory, so `answer` has to be called.
        """
        received = time.perf_counter()
        request = requests.parse(payload)
        model = self._actor.resolver.at_hand(*requests.names(request))
        if model is None:
            return None
        wanted = self._decoded(request, model, received)
        decoded = time.perf_counter()
        return PendingRequest(
            wanted.ticket,
            partial(self._serialised, wanted, request.id, received, decoded),
            failed=partial(self._count_failure, model, received),
        )

    async def answer(self, payload: bytes) -> bytes:
        """Returns the response. Runs on the event loop."""
        return _bytes(await self.infer(requests.parse(payload)))

    def _decoded(self, request: pb.ModelInferRequest, model: LoadedVersion, received: float) -> Wanted:
        try:
            return requests.decode(request, model, self._actor.max_rows)
        except PolicydError:
            self._count_failure(model, received)
            raise

    def _serialised(
        self, wanted: Wanted, request_id: str, received: float, decoded: float, _: Ticket, decision: Decision
    ) -> bytes:
        return _bytes(self._encoded(wanted, decision, request_id, received, decoded))

    def _encoded(
        self, wanted: Wanted, decision: Decision, request_id: str, received: float, decoded: float
    ) -> pb.ModelInferResponse:
        decided = time.perf_counter()
        answer = response.encode(wanted, decision, request_id)
        self._statistics.answered(wanted.ticket, received, decoded, decided)
        return answer

    def _count_failure(self, model: LoadedVersion, received: float) -> None:
        self._statistics.failed(model.policy, model.version, time.perf_counter() - received)


class StreamInference:
    """ModelStreamInfer: as ModelInfer, over one stream.

    An error is sent as a response, and the stream goes on.
    """

    path = STREAM_PATH
    streams = True
    reader = None

    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    def open(self) -> Conversation:
        """Returns a new stream."""
        return _InferStream(self._inference)


class _InferStream(Unary):
    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        # The last request. An error is sent with its id and names. None: it did not parse, which
        # ends the stream.
        self._asked: pb.ModelInferRequest | None = None

    def begin(self, payload: bytes) -> PendingRequest | None:
        """As ModelInfer, with the response wrapped for a stream."""
        self._asked = None
        self._asked = requests.parse(payload)
        begun = self._inference.begin(payload)
        if begun is None:
            return None
        encode = begun.encode
        return PendingRequest(begun.ticket, lambda *decided: _streamed(encode(*decided)), begun.failed)

    async def answer(self, payload: bytes) -> bytes:
        """Returns the response. Runs on the event loop."""
        return _streamed(await self._inference.answer(payload))

    def refused(self, error: Exception) -> bytes | None:
        """Returns the response that contains the error."""
        if self._asked is None:
            return None
        answer: bytes = failed(self._asked, error).SerializeToString()
        return answer


def failed(request: pb.ModelInferRequest, error: Exception) -> Any:
    """Returns the stream's response to a request that failed."""
    if not isinstance(error, PolicydError):
        error = log.unexpected(_LOG, "an inference request failed", error)
    named = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
    return pb.ModelStreamInferResponse(error_message=error.message, infer_response=named)


def succeeded(answer: pb.ModelInferResponse) -> Any:
    """Returns the stream's response to a request that succeeded."""
    answer.parameters[FINAL].bool_param = True
    return pb.ModelStreamInferResponse(infer_response=answer)


def _streamed(answer: bytes) -> bytes:
    data: bytes = succeeded(pb.ModelInferResponse.FromString(answer)).SerializeToString()
    return data


def _bytes(answer: pb.ModelInferResponse) -> bytes:
    data: bytes = answer.SerializeToString()
    return data
