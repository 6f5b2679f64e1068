"""What each group of routes may use: the services, the settings, access, shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from policyd_server.http.access import Access
from policyd_server.http.calls import Calls
from policyd_server.settings import Settings


@dataclass
class Gateway:
    """The services as HTTP reaches them, and what is shared by all requests of the process."""

    settings: Settings
    calls: Calls
    access: Access
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # the process ends; streams end with it
    streams: int = 0  # open event streams


#: Makes the routes of one part: the protocol, the services as JSON, the page.
Group = Callable[[Gateway], Sequence[BaseRoute]]
