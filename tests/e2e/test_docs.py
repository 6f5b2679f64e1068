"""What the documents say exists, exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import pytest

from policyctl.app import app
from server import __main__ as server
from server.settings import Settings
from trainer.service.command import serve

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


def test_architecture_maps_every_folder() -> None:
    """Each folder of a package has a row in ARCHITECTURE.md, and each name in the row is one of its files."""
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## Where to find what")[2]
    rows = re.findall(r"^\| `([a-z_/0-9]+)/` \| (.+) \|$", text, re.MULTILINE)
    packages = [ROOT / name for name in ("server", "trainer", "repository", "policyctl", "proto/policy_api")]
    folders = {path.parent.relative_to(ROOT) for package in packages for path in package.rglob("*.py")}
    migrations = {Path("trainer/jobs/migrations"), Path("trainer/jobs/migrations/versions")}
    assert folders - migrations - {Path(folder) for folder, _ in rows} == set()
    named = [(folder, name) for folder, told in rows for name in re.findall(r"`([a-z_]+)`", told)]
    unknown = [(folder, name) for folder, name in named if not any((ROOT / folder).glob(f"{name}.py*"))]
    assert unknown == [("trainer/presets", "course")]  # a preset's name


def test_the_table_of_configuration_is_true() -> None:
    """Each flag of README.md is an option of the commands that it names, with that variable and default."""
    commands = {"server": server.main, "trainer": serve, "policyctl": app}
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `--")]
    assert len(lines) > 10
    for flags, variables, of, default in (line.strip("| ").split(" | ") for line in lines):
        for name in of.split(", "):
            options = {p.opts[0]: p for p in commands[name].params if isinstance(p, click.Option)}
            told = [options[flag] for flag in re.findall(r"`(--[a-z-]+)`", flags)]
            if wanted := re.findall(r"`(POLICYD_\w+)`", variables):
                assert [option.envvar for option in told] == wanted
            for own in (_default(name, option) for option in told):
                assert own is None or str(own) in default, (name, flags, own)
                assert own is None or not default.startswith("none"), (name, flags, own)


def _default(command: str, option: click.Option) -> object:
    """What holds without the option; None: nothing does."""
    field = Settings.model_fields.get(str(option.name)) if command == "server" else None
    value = option.default if field is None else field.default
    return value if isinstance(value, int | str) and not isinstance(value, bool) and value != "" else None


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
