"""The routes of the services: each translates into the message that its operation declares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from policyd_server.http import compression, events
from policyd_server.http.events import Event
from policyd_server.http.gateway import Gateway
from policyd_server.http.messages import to_json
from policyd_server.http.services import acting, browse, files, openapi
from policyd_server.http.services.operations import OPERATIONS, Operation
from policyd_server.http.services.reading import message_of

Handler = Callable[[Request], Awaitable[Response]]


def routes(gateway: Gateway) -> Sequence[BaseRoute]:
    """Returns all routes below /v1, the document and the page that shows it."""
    kinds: dict[str, Callable[[Gateway, Operation], Handler]] = {
        "json": _answering,
        "act": _acting,
        "events": _watching,
        "text": files.log,
        "file": files.file,
    }
    made = [Route(op.path, kinds[op.kind](gateway, op), methods=[op.verb]) for op in OPERATIONS]
    document = openapi.document()

    async def described(_: Request) -> Response:
        return JSONResponse(document)

    async def browsed(_: Request) -> Response:
        return browse.page(document)

    return [*made, Route("/v1/openapi.json", described), Route("/v1/docs", browsed)]


def _answering(gateway: Gateway, op: Operation) -> Handler:
    async def handle(request: Request) -> Response:
        message = await message_of(request, op)
        answer = to_json(await gateway.calls.unary(request, op.method, message))
        response = JSONResponse(answer[op.answer] if op.answer else answer)
        return compression.compressed(request.headers, response)

    return handle


def _acting(gateway: Gateway, op: Operation) -> Handler:
    return acting.ActEndpoint(gateway, op).handle


def _watching(gateway: Gateway, op: Operation) -> Handler:
    async def handle(request: Request) -> Response:
        message = await message_of(request, op)
        return await events.stream(gateway, _events(gateway, request, op, message))

    return handle


async def _events(gateway: Gateway, request: Request, op: Operation, message: Any) -> AsyncIterator[Event]:
    """Yields an event per response, then `end`, so that a browser does not connect again."""
    async for answer in gateway.calls.stream(request, op.method, message):
        yield Event(op.answer, to_json(getattr(answer, op.answer)))
    yield Event("end", {})
