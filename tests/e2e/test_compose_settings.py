"""Every setting of the services gets through docker-compose.yml to the container."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from policyd_server.command import serve_command as server
from policyd_trainer.service.command import serve as trainer

ROOT = Path(__file__).parents[2]
OF_SCRIPTS = {"POLICYD_PORT_FILE"}  # no caller inside a container reads it
SERVICES = {"server": server, "trainer": trainer}


def _variables(command: click.Command) -> set[str]:
    """The environment variables that a command's options read."""
    named = (parameter.envvar for parameter in command.params)
    return {name for name in named if isinstance(name, str)} - OF_SCRIPTS


def _passed(service: str) -> dict[str, Any]:
    """The variables that the compose files set in a service's container, with TLS."""
    passed: dict[str, Any] = {}
    for file in ("docker-compose.yml", "docker-compose.secure.yml"):
        passed |= yaml.safe_load((ROOT / file).read_text())["services"][service]["environment"]
    return passed


def _fixed(service: str) -> set[str]:
    """The variables that the image itself sets: addresses inside the container, and folders."""
    return set(re.findall(r"^ +(POLICYD_\w+)=", (ROOT / service / "Dockerfile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("service", SERVICES)
def test_no_setting_is_left_out(service: str) -> None:
    """A variable of the guide that .env sets has its effect in the container, too."""
    missing = _variables(SERVICES[service]) - set(_passed(service)) - _fixed(service)
    assert missing == set()


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_passed_that_nobody_reads(service: str) -> None:
    """Each variable that is passed belongs to an option, so none is misspelt."""
    known = _variables(SERVICES[service]) | {"POLICYD_TLS_CA"}  # for the health check
    assert {name for name in _passed(service) if name.startswith("POLICYD_")} - known == set()


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_not_set_keeps_its_default(service: str) -> None:
    """A variable without a value is passed only if somebody has set it."""
    for name, value in _passed(service).items():
        own = value is None or f"${{{name}" in value or name in ("POLICYD_INSECURE", "POLICYD_TLS_CA")
        assert own or value.startswith("/run/policyd/"), (name, value)
