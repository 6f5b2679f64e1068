"""Act from the request's message to the answer's, on an event loop."""

from __future__ import annotations

import asyncio

from policy_api.v1.policy_pb2 import ActRequest
from server.acting.batcher import LoopBatcher
from server.acting.decode import parse, ticket_for
from server.acting.encode import answer_for, wants_raw
from server.acting.plain import PlainReader, names_of
from server.acting.queue import SMALL_ROWS
from server.acting.ticket import Decision, Ticket
from server.models.selector import Selector
from server.models.version import LoadedVersion


class Actor:
    """Answers requests; whatever protocol they came by goes through `decide`."""

    def __init__(self, selector: Selector, batcher: LoopBatcher, max_rows: int) -> None:
        self.selector = selector
        self.max_rows = max_rows  # of one request
        self.reader = PlainReader(selector.catalog, max_rows)
        self._batcher = batcher

    def at_once(self, payload: bytes, pinned: LoadedVersion | None = None) -> bytes | None:
        """The serialised ActResponse to a small plain ActRequest. None: ask `act`; if pinned `act_with`."""
        plain = self.reader.read(payload) if pinned is None else self.reader.read_for(payload, pinned)
        return None if plain is None else self._batcher.at_once(plain, payload)

    async def act(self, payload: bytes) -> bytes:
        """The serialised ActResponse of the version that the serialised ActRequest names."""
        plain = self.reader.read(payload)
        if plain is not None and plain.rows > SMALL_ROWS:
            answer = await self._batcher.in_turn(plain, payload)
            if answer is not None:
                return answer
        request = parse(payload, ActRequest)
        return await self.act_with(await self.model_for(request), request, payload)

    async def act_with(self, model: LoadedVersion, request: ActRequest, payload: bytes) -> bytes:
        """The serialised ActResponse of this version, whatever the request names; `payload`: its bytes."""
        if self.reader.remember(payload, request):
            answer = self.at_once(payload, model)
            if answer is not None:
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
