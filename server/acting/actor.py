"""Act from the request's message to the answer's, on an event loop."""

from __future__ import annotations

import asyncio

from policy_api.v1.policy_pb2 import ActRequest
from server.acting.batcher import LoopBatcher
from server.acting.decode import parse, ticket_for
from server.acting.encode import answer_for, wants_raw
from server.acting.plain import PlainReader, names_of
from server.acting.ticket import Decision, Ticket
from server.models.selector import Selector
from server.models.version import LoadedVersion


class Actor:
    """Answers requests; whatever protocol they came by goes through `decide`."""

    def __init__(self, selector: Selector, batcher: LoopBatcher, max_rows: int) -> None:
        self.selector = selector
        self.max_rows = max_rows  # of one request
        self.reader = PlainReader(selector.at_hand, max_rows)
        self._batcher = batcher

    def at_once(self, payload: bytes) -> bytes | None:
        """The serialised ActResponse to a small plain ActRequest. None: `act` has to be asked."""
        plain = self.reader.read(payload)
        return None if plain is None else self._batcher.at_once(plain)

    async def act(self, payload: bytes) -> bytes:
        """The serialised ActResponse of the version that the serialised ActRequest names."""
        request = parse(payload)
        model = await self.model_for(request)
        if self.reader.plain_of(request, model) is not None:
            self.reader.remember(payload, request)
        return await self.act_with(model, request)

    async def act_with(self, model: LoadedVersion, request: ActRequest) -> bytes:
        """The serialised ActResponse of this version, whatever the request names."""
        plain = self.reader.plain_of(request, model)
        if plain is not None and (answer := self._batcher.at_once(plain)) is not None:
            return answer
        ticket = ticket_for(request, model, self.max_rows)
        decision = await self.decide(ticket)
        return answer_for(ticket, decision, raw=wants_raw(request))

    def model_at_hand(self, request: ActRequest) -> LoadedVersion | None:
        """The version that the request names, if it is in memory."""
        return self.selector.at_hand(*names_of(request))

    async def model_for(self, request: ActRequest) -> LoadedVersion:
        """The version that the request names, loaded if need be."""
        return self.model_at_hand(request) or await self.selector.find(*names_of(request))

    async def decide(self, ticket: Ticket) -> Decision:
        """Waits for the ticket's turn. Its error is raised; who is cancelled leaves the queue."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket.abandoned = answered.cancelled
        ticket.done = lambda _: None if answered.done() else answered.set_result(None)
        self._batcher.submit(ticket)
        await answered
        if ticket.decision is None:
            raise ticket.error or RuntimeError("a ticket ended without answer and without error")
        return ticket.decision
