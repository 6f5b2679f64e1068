"""Owns the recorder process of one server."""

from __future__ import annotations

from pathlib import Path

from policyd_server.on_demand import OnDemandProcess

#: Tells worker processes where the recorder's socket is.
VARIABLE = "POLICYD_RECORDER_SOCKET"


def recorder_process(root: Path, store: str = "") -> OnDemandProcess:
    """The recorder of the experience in `root`. It ends after the workers have.

    What it has taken is durable then. `store`: the URL of a repository in object storage, which
    gets a copy of what is sealed; empty: there is none.
    """
    title, module = "the recorder of experience", "policyd_server.experience.process"
    return OnDemandProcess(title, VARIABLE, module, [str(root), store])
