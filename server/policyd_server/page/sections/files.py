"""Files of a version: shown where they are pictures or a report of ours, else downloaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from policyd.errors import NotFound
from policyd_server.page.asking import Services
from policyd_server.page.sections.frame import shown

# A file may come from elsewhere. So the browser must not run scripts in it or load anything for it.
_ENCLOSED = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self';"
    " sandbox allow-same-origin"
)
_SHOWN = {".html": "text/html; charset=utf-8", ".png": "image/png", ".gif": "image/gif"}
_HEADERS = {
    "content-security-policy": _ENCLOSED,
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def routes(services: Services) -> Sequence[BaseRoute]:
    """Returns the one route for all files."""

    async def file(request: Request) -> Response:
        policy, version = request.path_params["policy"], request.path_params["version"]
        name = request.path_params["name"]
        parts = services.file(request, policy, version, name)
        try:
            first = await anext(parts)
        except StopAsyncIteration:
            raise NotFound(f"version {version} has no file {name[:80]!r}", reason="NO_SUCH_FILE") from None
        headers = dict(_HEADERS)
        kind = next((kind for ending, kind in _SHOWN.items() if name.endswith(ending)), None)
        if kind is None or "download" in request.query_params:
            saved = quote(f"{policy}-{version}-{name}")
            headers["content-disposition"] = f"attachment; filename*=UTF-8''{saved}"
        return StreamingResponse(
            _all(first, parts), headers=headers, media_type=kind or "application/octet-stream"
        )

    place = "/page/files/{policy}/{version:number}/{name}"
    return [Route(place, shown(services.gateway, file))]


async def _all(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async with aclosing(parts):  # type: ignore[type-var]  # an asynchronous generator
        async for part in parts:
            yield part
