"""Which HTTP proxy gRPC takes from the environment, so that an error can name it."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from policyd.client.address import is_local

# The variables in the order in which gRPC's core reads them. The first that is set counts.
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
_EXCEPTIONS = ("no_grpc_proxy", "no_proxy")


def through(address: str) -> str:
    """Returns ` (through PROXY)` if calls to the address use a proxy, otherwise an empty text.

    The text follows an address in an error. It does not contain the proxy's user name or password.
    """
    variable = next((name for name in _PROXIES if os.environ.get(name)), None)
    if variable is None or address.startswith("unix") or is_local(address) or _is_excepted(address):
        return ""
    proxy = urlsplit(os.environ[variable])
    place = proxy.netloc.rpartition("@")[2] or "a proxy"
    return f" (through the proxy {place} of {variable}; no_proxy={_host(address)} goes without it)"


def _is_excepted(address: str) -> bool:
    listed = next((os.environ[name] for name in _EXCEPTIONS if os.environ.get(name)), "")
    names = [name.strip().lstrip(".") for name in listed.split(",")]
    return any(name and _host(address).endswith(name) for name in names)


def _host(address: str) -> str:
    """Returns `host` from `host:port`, `[host]:port` or `dns:///host:port`."""
    return address.rpartition("/")[2].rpartition(":")[0].strip("[]")
