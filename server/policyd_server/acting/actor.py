"""Act from the request's message to the answer's, on an event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from policy_api.v1.policy_pb2 import ActRequest
from policyd.errors import InvalidArgument, PolicydError, UnusableOutput
from policyd.runtime.guard import current_caller
from policyd_server.acting.decode import parse, ticket_for
from policyd_server.acting.encode import answer_for, wants_raw
from policyd_server.acting.loop_batcher import LoopBatcher
from policyd_server.acting.plain import PlainReader, key_of, names_of
from policyd_server.acting.ticket import Decision, Ticket
from policyd_server.experience import decisions
from policyd_server.experience.sender import DecisionSender
from policyd_server.experience.wire import joined
from policyd_server.models.resolver import VersionResolver
from policyd_server.models.version import LoadedVersion

# A function from an answered ticket to the bytes of the response.
Encode = Callable[[Ticket, Decision], bytes]
_LOG = logging.getLogger(__name__)
MAX_KEY = 128  # characters


class Actor:
    """Answers requests. The handlers of every protocol call `decide`."""

    def __init__(
        self,
        resolver: VersionResolver,
        batcher: LoopBatcher,
        max_rows: int,
        recorder: DecisionSender | None = None,
    ) -> None:
        """`recorder`: records the decisions that clients have named. None: nothing is recorded."""
        self.resolver = resolver
        self.max_rows = max_rows  # of one request
        self.reader = PlainReader(resolver.loaded_versions, max_rows)
        self._batcher = batcher
        self._recorder = recorder

    async def act(self, payload: bytes) -> bytes:
        """Answers a serialised ActRequest with the version that it names.

        Returns the serialised ActResponse.
        """
        request = parse(payload, ActRequest)
        model = await self.model_for(request)
        self.remember(payload, request, model)
        return await self.act_with(model, request)

    async def act_with(self, model: LoadedVersion, request: ActRequest) -> bytes:
        """Returns the serialised ActResponse of `model`, whatever version the request names."""
        ticket, encode = self.prepare(request, model)
        return encode(ticket, await self.decide(ticket))

    def prepare(self, request: ActRequest, model: LoadedVersion) -> tuple[Ticket, Encode]:
        """Returns the ticket of a validated request, and the function that encodes its response.

        That function also records the decisions that the request names, before the response is
        sent.
        """
        ticket = ticket_for(request, model, self.max_rows)
        if not request.decisions:
            return ticket, partial(answer_for, raw=wants_raw(request))
        decisions.check_decisions(request, ticket.rows)
        decisions.name_seed(ticket, request)
        caller = current_caller()
        return ticket, partial(self._record, request, caller.name if caller else "")

    def _record(self, request: ActRequest, caller: str, ticket: Ticket, decision: Decision) -> bytes:
        if self._recorder is not None:
            records = decisions.records(request.decisions, ticket, decision.columns, caller)
            self._recorder.send(joined(records), len(records), ticket.model.policy)
        return answer_for(ticket, decision, raw=wants_raw(request))

    def remember(self, payload: bytes, request: ActRequest, model: LoadedVersion) -> None:
        """Remembers the header of a request for `model`, if a request for it can be plain."""
        if model.plain_rows:
            self.reader.remember(payload, request)

    def model_at_hand(self, request: ActRequest) -> LoadedVersion | None:
        """Returns the version that the request names. None: it is not in memory."""
        return self.resolver.at_hand(*names_of(request), key_of(request))

    async def model_for(self, request: ActRequest) -> LoadedVersion:
        """Returns the version that the request names. Loads it if it is not in memory."""
        check_key(request.traffic_key)
        found = self.model_at_hand(request)
        return found or await self.resolver.find(*names_of(request), key_of(request))

    def note_failure(self, ticket: Ticket) -> None:
        """Removes a version from shared aliases if it could not compute. Called from any thread."""
        error, model = ticket.error, ticket.model
        at_fault = isinstance(error, UnusableOutput) or not isinstance(error, PolicydError)
        if error is not None and at_fault and self.resolver.loaded_versions.fail(model):
            _LOG.error("%s version %d gives its share back: %s", model.policy, model.version, error)

    async def decide(self, ticket: Ticket) -> Decision:
        """Waits until the ticket is answered and returns its decision. Raises the ticket's error.

        If the caller is cancelled, the ticket is dropped.
        """
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket.abandoned = answered.cancelled
        ticket.done = lambda _: None if answered.done() else answered.set_result(None)
        self._batcher.submit(ticket)
        await answered
        if ticket.decision is None:
            self.note_failure(ticket)
            raise ticket.error or RuntimeError("a ticket ended without answer and without error")
        return ticket.decision


def check_key(key: str) -> None:
    """Raises InvalidArgument if the traffic key is too long."""
    if len(key) > MAX_KEY:
        raise InvalidArgument.of("traffic_key", got=f"{len(key)} characters", wanted=f"at most {MAX_KEY}")
