"""ModelInfer from message to message, on an event loop or directly from a transport's own thread."""

from __future__ import annotations

import time
from functools import partial

from tritonclient.grpc import service_pb2 as pb

from policy_api.errors import PolicydError
from server.acting.actor import Actor
from server.acting.direct import Begun
from server.acting.plain import Plain
from server.acting.ticket import Decision, Ticket
from server.models.version import LoadedVersion
from server.oip import request as requests
from server.oip import response
from server.oip.request import Wanted
from server.oip.statistics import Statistics

PATH = "/inference.GRPCInferenceService/ModelInfer"


class Inference:
    """Answers inference requests through the batcher that answers Act, and counts them."""

    path = PATH  # as a method that a transport may serve without an event loop

    def __init__(self, actor: Actor, statistics: Statistics) -> None:
        self._actor = actor
        self._statistics = statistics

    async def infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """The answer of the version that the request names, loaded if need be."""
        received = time.perf_counter()
        names = requests.names(request)
        selector = self._actor.selector
        model = selector.at_hand(*names) or await selector.find(*names)
        wanted = self._decoded(request, model, received)
        decoded = time.perf_counter()
        try:
            decision = await self._actor.decide(wanted.ticket)
        except PolicydError:
            self._count_failure(model, received)
            raise
        return self._encoded(wanted, decision, request.id, received, decoded)

    def read(self, payload: bytes) -> Plain | None:
        """None: every request is decoded on its own."""

    def begin(self, payload: bytes) -> Begun | None:
        """What has to queue; None: its version is slow or not in memory; `answer` is to be asked."""
        received = time.perf_counter()
        request = requests.parse(payload)
        model = self._actor.selector.at_hand(*requests.names(request))
        if model is None or model.slow:
            return None
        wanted = self._decoded(request, model, received)
        decoded = time.perf_counter()
        return Begun(
            wanted.ticket,
            partial(self._serialised, wanted, request.id, received, decoded),
            failed=partial(self._count_failure, model, received),
        )

    async def answer(self, payload: bytes) -> bytes:
        """The answer on the event loop."""
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


def _bytes(answer: pb.ModelInferResponse) -> bytes:
    data: bytes = answer.SerializeToString()
    return data
