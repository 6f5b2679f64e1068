"""Owns the shadow process of one server."""

from __future__ import annotations

from policyd_server.on_demand import OnDemandProcess
from policyd_server.settings import Settings

#: The variable that tells worker processes the path of the shadow process's socket.
VARIABLE = "POLICYD_SHADOW_SOCKET"


def shadow_process(settings: Settings) -> OnDemandProcess:
    """Returns the process in which shadows compute."""
    module = "policyd_server.shadow.process"
    return OnDemandProcess("the shadow process", VARIABLE, module, [str(settings.repository)])
