"""Answers that are no JSON: a version's file, and a job's log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from policyd_server.http.gateway import Gateway
from policyd_server.http.services.operations import Operation
from policyd_server.http.services.reading import message_of

_TYPES = {"html": "text/html", "json": "application/json", "png": "image/png", "pbtxt": "text/plain"}
# A report is a page of its own. It runs no script and loads nothing.
_SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
Handler = Callable[[Request], Awaitable[Response]]


def file(gateway: Gateway, op: Operation) -> Handler:
    """Returns the handler that sends one file of a version. The service finds the file."""

    async def handle(request: Request) -> Response:
        parts = gateway.calls.stream(request, op.method, await message_of(request, op))
        head = await anext(parts)
        ending = request.path_params["files"].rpartition(".")[2]
        return StreamingResponse(
            _data(parts),
            media_type=_TYPES.get(ending, "application/octet-stream"),
            headers={"content-security-policy": _SANDBOX, "etag": f'"{head.contents.files[0].digest}"'},
        )

    return handle


async def _data(parts: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for part in parts:
        yield part.chunk.data


def log(gateway: Gateway, op: Operation) -> Handler:
    """Returns the handler that sends a job's log as text.

    With `follow=true` it sends until the job has ended.
    """

    async def handle(request: Request) -> Response:
        parts = gateway.calls.stream(request, op.method, await message_of(request, op))
        first = await anext(parts, None)
        return StreamingResponse(_text(first, parts), media_type="text/plain; charset=utf-8")

    return handle


async def _text(first: Any, parts: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    if first is not None:
        yield first.content
    async for part in parts:
        yield part.content
