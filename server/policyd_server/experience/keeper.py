"""Owns the recorder process of one server."""

from __future__ import annotations

from pathlib import Path

from policyd_server.on_demand import OnDemandProcess

#: The variable that tells worker processes the path of the recorder's socket.
VARIABLE = "POLICYD_RECORDER_SOCKET"


def recorder_process(root: Path, store: str = "") -> OnDemandProcess:
    """Returns the recorder process of the folder `root`. It ends after the workers.

    At its end, everything that it has taken is durable. `store`: the URL of a repository in object
    storage that gets a copy of the sealed episodes; empty: there is none.
    """
    title, module = "the recorder of experience", "policyd_server.experience.process"
    return OnDemandProcess(title, VARIABLE, module, [str(root), store])
