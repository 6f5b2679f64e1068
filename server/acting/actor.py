"""Act from the request's message to the answer's, on an event loop."""

from __future__ import annotations

import asyncio

from policy_api.v1.policy_pb2 import ActRequest
from server.acting.batcher import LoopBatcher
from server.acting.decode import ticket_for
from server.acting.encode import answer_for, wants_raw
from server.acting.ticket import Decision, Ticket
from server.models.selector import Selector
from server.models.version import LoadedVersion


class Actor:
    """Answers requests; whatever protocol they came by goes through `decide`."""

    def __init__(self, selector: Selector, batcher: LoopBatcher, max_rows: int) -> None:
        self.selector = selector
        self.max_rows = max_rows  # of one request
        self._batcher = batcher

    async def act(self, request: ActRequest) -> bytes:
        """The serialised ActResponse of the version that the request names."""
        return await self.act_with(await self.model_for(request), request)

    async def act_with(self, model: LoadedVersion, request: ActRequest) -> bytes:
        """The serialised ActResponse of this version, whatever the request names."""
        if (answer := self._batcher.at_once(request, model)) is not None:
            return answer
        ticket = ticket_for(request, model, self.max_rows)
        decision = await self.decide(ticket)
        return answer_for(ticket, decision, raw=wants_raw(request))

    def model_at_hand(self, request: ActRequest) -> LoadedVersion | None:
        """The version that the request names, if it is in memory."""
        return self.selector.at_hand(*_names(request))

    async def model_for(self, request: ActRequest) -> LoadedVersion:
        """The version that the request names, loaded if need be."""
        return self.model_at_hand(request) or await self.selector.find(*_names(request))

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


def _names(request: ActRequest) -> tuple[str, int | None, str]:
    """Policy, version and alias as the request names them."""
    return request.policy, request.version if request.HasField("version") else None, request.alias
