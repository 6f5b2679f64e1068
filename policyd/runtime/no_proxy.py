"""Keeps libraries that read a proxy from the environment from using it for loopback."""

from __future__ import annotations

import os

_VARIABLES = ("no_proxy", "NO_PROXY")  # some libraries read the one, some the other
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def except_loopback() -> None:
    """Adds this machine's own names to the hosts that are reached without a proxy."""
    listed = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), "")
    hosts = [host.strip() for host in listed.split(",") if host.strip()]
    if "*" in hosts:
        return
    value = ",".join(dict.fromkeys([*hosts, *_LOOPBACK]))
    os.environ.update(dict.fromkeys(_VARIABLES, value))
