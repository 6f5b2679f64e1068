"""All routes of the page."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from policyd_server.http.gateway import Gateway
from policyd_server.page.asking import Services
from policyd_server.page.live import Feeds
from policyd_server.page.measuring import Meter
from policyd_server.page.remembering import CurveMemory
from policyd_server.page.sections import (
    canaries,
    changes,
    experience,
    files,
    jobs,
    now,
    retraining,
    shadows,
    signing,
    trying,
    versions,
)

_FILES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def routes(gateway: Gateway) -> Sequence[BaseRoute]:
    """Returns the routes of the page."""
    services, feeds = Services(gateway), Feeds()
    return [
        Route("/", _home),
        *_static(),
        *signing.routes(gateway),
        *now.routes(services, feeds, Meter(gateway.settings.metrics)),
        *changes.routes(services),
        *versions.routes(services, feeds),
        *files.routes(services),
        *retraining.routes(services),
        *jobs.routes(services, feeds, CurveMemory()),
        *trying.routes(services),
        *experience.routes(services, feeds),
        *canaries.routes(services),
        *shadows.routes(services),
    ]


async def _home(_: Request) -> Response:
    return RedirectResponse("/page")


def _static() -> list[BaseRoute]:
    """Returns the routes of our own script, style and icon, which are read once."""
    folder = resources.files("policyd_server.page") / "static"
    return [_file(name, (folder / name).read_bytes(), kind) for name, kind in _FILES.items()]


def _file(name: str, content: bytes, kind: str) -> BaseRoute:
    async def serve(_: Request) -> Response:
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    return Route(f"/page/static/{name}", serve)
