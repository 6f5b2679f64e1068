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
    """What all requests of the process share: the services, settings, access and shutdown."""

    settings: Settings
    calls: Calls
    access: Access
    # set when the process ends, which ends the event streams
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0  # open event streams


#: A function that makes the routes of one part: the protocol, the services as JSON, or the page.
Group = Callable[[Gateway], Sequence[BaseRoute]]
