"""Prometheus in the stack: what the panels of the dashboards ask, and what it answers."""

from __future__ import annotations

import json
import math
import urllib.parse
import urllib.request
from collections.abc import Iterator

from tests.e2e.containers.compose import TOP


def panels() -> Iterator[str]:
    """The queries of every panel."""
    for name in ("serving", "training"):
        dashboard = json.loads((TOP / "deploy" / "grafana" / "dashboards" / f"{name}.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield target["expr"].replace("$__rate_interval", "1m")


def value(address: str, expression: str) -> float | None:
    """The first number that an instant query finds.

    NaN does not count: it means that nothing was divided by nothing.
    """
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{query}", timeout=60) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return None
    numbers = (float(sample["value"][1]) for sample in result)
    return next(filter(math.isfinite, numbers), None)
