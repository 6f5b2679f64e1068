"""What the documents say exists, exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link of a document points at a file or folder."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text())
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_architecture_names_real_files() -> None:
    """Every path with a folder in ARCHITECTURE.md is a file or folder of some package."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    bases = [ROOT, ROOT / "proto", ROOT / "trainer", ROOT / "server", ROOT / "policyctl", ROOT / "repository"]
    paths = re.findall(r"`([a-z_]+/[a-z0-9_/.]*)`", text)
    in_repository = {"models/", "aliases/", "staging/"}  # folders of the model repository on disk
    missing = [p for p in paths if p not in in_repository and not any((base / p).exists() for base in bases)]
    assert missing == []


def test_every_dependency_has_its_reason() -> None:
    """Each package of pyproject.toml stands in ARCHITECTURE.md and, with its version, in constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        p for extra in project["optional-dependencies"].values() for p in extra
    ]
    names = {re.split(r"[\[<>=~! ]", requirement)[0] for requirement in wanted}
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## Dependencies")[2]
    explained = {name for name in names if name in text or name.startswith("types-")}
    explained |= {"opentelemetry-exporter-otlp-proto-grpc"} & names  # `-exporter-...` in its row
    assert names - explained == set()
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert {name for name in names if name.lower() not in pinned} == set()
