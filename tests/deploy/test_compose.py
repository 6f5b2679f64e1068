"""What docker-compose.yml promises about every container of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[2]
OURS = ("server", "trainer", "tensorboard")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml."""
    services: dict[str, dict[str, Any]] = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]
    return services


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_has_no_privileges(services: dict[str, dict[str, Any]], name: str) -> None:
    """Each has a read-only root, no capabilities or new privileges, and a memory limit."""
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service


def test_ports_are_published_on_loopback_unless_asked_otherwise(services: dict[str, dict[str, Any]]) -> None:
    """Every published port is on loopback, directly or as its variable's default."""
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith(("127.0.0.1:", "${POLICYD_PUBLISH:-127.0.0.1}:")) for port in ports)


def test_the_trainer_is_reached_over_its_own_network_only(services: dict[str, dict[str, Any]]) -> None:
    """The trainer publishes no port. Its only network is the one it shares with the server."""
    assert "ports" not in services["trainer"]
    assert services["trainer"]["networks"] == ["back"]
    networks = yaml.safe_load((TOP / "docker-compose.yml").read_text())["networks"]
    assert networks["back"] == {"internal": True}


@pytest.mark.parametrize("name", ["server", "trainer"])
def test_images_run_as_a_fixed_user_and_check_health_over_grpc(name: str) -> None:
    """The last USER is a number above 10000, and the health check is ours, not an open port."""
    lines = (TOP / name / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    health = next(line for line in lines if line.startswith("HEALTHCHECK"))
    assert health.endswith('CMD ["python", "-m", "policyd.runtime.health"]')
    assert not any("--mount" in line or "# syntax" in line or "--link" in line for line in lines)


def test_the_gpu_file_asks_for_a_gpu_and_the_cuda_build() -> None:
    """The file changes only keys of the trainer that exist. The Dockerfile knows the argument."""
    [(name, changed)] = yaml.safe_load((TOP / "docker-compose.gpu.yml").read_text())["services"].items()
    assert name == "trainer"
    [device] = changed["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert changed["build"]["args"] == {"TORCH": "cuda"}
    assert "cuda)" in (TOP / "trainer" / "Dockerfile").read_text()
    assert changed["image"].endswith("-cuda"), "the image for CPUs keeps its name"
