"""All groups of routes, in the order in which they are matched."""

from __future__ import annotations

from policyd_server.http.gateway import Group
from policyd_server.http.open_inference import health
from policyd_server.http.open_inference import routes as open_inference
from policyd_server.http.services import routes as services
from policyd_server.page import routes as page

GROUPS: tuple[Group, ...] = (health.routes, open_inference.routes, services.routes, page.routes)
