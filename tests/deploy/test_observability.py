"""Alert rules and dashboards: files that Prometheus and Grafana can load."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian's package prometheus) is not installed"
)


@promtool
@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_promtool_accepts_the_alert_rules(command: list[str]) -> None:
    """The rules are valid and silent on a quiet service, and each fires for its fault."""
    done = subprocess.run(
        ["promtool", *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_runbook() -> None:
    """docs/guide/operations.md has a heading for each alert, and no heading for a removed one."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    operations = (DEPLOY.parent / "docs/guide/operations.md").read_text()
    assert set(re.findall(r"^### (Policyd\w+)$", operations, re.MULTILINE)) == alerts


@pytest.mark.parametrize("name", ["experience", "serving", "training"])
def test_a_dashboard_asks_the_provisioned_data_source(name: str) -> None:
    """Every panel has a description, a unit, and queries against the provisioned data source."""
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / f"{name}.json").read_text())
    assert dashboard["uid"] == f"policyd-{name}"
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identifiers)) == len(identifiers)
    for panel in dashboard["panels"]:
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "prometheus"
        assert all(target["expr"] for target in panel["targets"])
