"""What the documents say exists, exists."""

from __future__ import annotations

import ast
import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from policyd import errors
from policyd.cli.app import app
from policyd_server.command import serve_command
from policyd_server.settings import Settings
from policyd_trainer.config import TrainingConfig
from policyd_trainer.service.command import serve

ROOT = Path(__file__).parents[2]
TRAINING = ROOT / "docs/guide/training.md"
SETTINGS = ROOT / "docs/guide/settings.md"
ERRORS = ROOT / "docs/guide/errors.md"
PACKAGES = ("policyd", "proto/policy_api", "server/policyd_server", "trainer/policyd_trainer")


COMMON = {"-V", "-h", "--help", "--version", "--json"}  # options of any command; policyctl.md explains --json
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link leads to a file or folder, and its fragment to a heading there."""
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text())
    assert [link for link in links if not _leads_somewhere(page, link)] == []


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, fragment = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not fragment or fragment in _fragments(target.read_text()))


def _fragments(text: str) -> set[str]:
    """The fragments under which GitHub links a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("folder", ["guide", "notes"])
def test_every_page_is_found(folder: str) -> None:
    """README.md links to each page of the guide, docs/notes/README.md to each of the notes."""
    contents = ROOT / {"guide": "README.md", "notes": "docs/notes/README.md"}[folder]
    linked = {
        (contents.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)", contents.read_text())
    }
    assert [page for page in (ROOT / "docs" / folder).glob("*.md") if page not in linked | {contents}] == []


def test_a_page_of_the_guide_says_what_it_is_for() -> None:
    """Each page of the guide begins with what the reader can do or knows after it."""
    for page in (ROOT / "docs/guide").glob("*.md"):
        assert page.read_text().split("\n\n")[1].startswith("After this page "), page.name


def test_the_settings_of_a_run_are_listed() -> None:
    """docs/guide/training.md has each setting of TrainingConfig with its default, and no other."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| ", TRAINING.read_text(), re.MULTILINE)
    given = {"policy", "env_id", "algorithm", "seed"}  # options of `retrain`
    defaults = {name: field.default for name, field in TrainingConfig.model_fields.items()}
    assert {name for name, _ in rows} == defaults.keys() - given
    for name, told in rows:
        assert _value(told) == json.loads(json.dumps(defaults[name])), name


def _value(told: str) -> object:
    """A default in the page's notation: JSON, a `word`, or none."""
    if told == "none":
        return None
    try:
        return json.loads(told.strip("`"))
    except ValueError:
        return told.strip("`")


def test_architecture_names_real_files() -> None:
    """Every path with a folder in ARCHITECTURE.md is a file or folder of some package."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    paths = re.findall(r"`([a-z_]+/[a-z0-9_/.]*)`", text)
    in_repository = {"models/", "aliases/", "staging/"}  # folders of the model repository on disk
    missing = [
        p
        for p in paths
        if p not in in_repository
        and not any(
            (base / p).exists() for base in (ROOT, ROOT / "proto", *(ROOT / package for package in PACKAGES))
        )
    ]
    assert missing == []


def test_the_table_of_configuration_is_true() -> None:
    """Each flag of the guide is an option of its commands, with that variable and default."""
    commands = {"server": serve_command, "trainer": serve, "policyctl": app}
    lines = [line for line in SETTINGS.read_text().splitlines() if line.startswith("| `--")]
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


def test_no_setting_is_left_out() -> None:
    """The guide's page of settings names every option of the services and of policyctl."""
    text = SETTINGS.read_text()
    for command in (serve_command, serve, app):
        options = {p.opts[0] for p in command.params if isinstance(p, click.Option)}
        assert {option for option in options - COMMON if f"`{option}`" not in text} == set(), command.name


def test_every_error_is_told() -> None:
    """docs/guide/errors.md has each class of policyd.errors and each reason that our code gives."""
    text = ERRORS.read_text()
    tree = {
        name
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if each.__module__ == errors.__name__
    }
    assert {name for name in tree - {"FieldViolation"} if f"`{name}`" not in text} == set()
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    given = {reason for file in files for reason in _reasons(ast.parse(file.read_text()))}
    assert len(given) > 50
    assert {reason for reason in given if not re.search(rf"\b{reason}\b", text)} == set()
    told = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", text))
    code = "\n".join(file.read_text() for file in files)
    assert {reason for reason in told if f'"{reason}"' not in code} == set()


def _reasons(tree: ast.Module) -> Iterator[str]:
    """The reasons of errors: `reason="..."` of a call that makes one, or of a class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            values = [e.value for e in node.body if isinstance(e, ast.Assign) and _is_reason(e.targets[0])]
        elif isinstance(node, ast.Call) and not _is_count(node.func):
            values = [k.value for k in node.keywords if k.arg == "reason"]
        else:
            values = []
        texts = (v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str))
        yield from (text for text in texts if re.fullmatch(r"[A-Z]+(_[A-Z]+)*", text))


def _is_reason(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == "reason"


def _is_count(function: ast.expr) -> bool:
    """Whether this is `dropped.add`, which counts steps that nobody learns from."""
    return isinstance(function, ast.Attribute) and function.attr == "add"


def _default(command: str, option: click.Option) -> object:
    """The value without the option; None if there is none."""
    field = Settings.model_fields.get(str(option.name)) if command == "server" else None
    value = option.default if field is None else field.default
    return value if isinstance(value, int | str) and not isinstance(value, bool) and value != "" else None


def test_every_dependency_has_its_reason() -> None:
    """Each package of pyproject.toml has a reason in ARCHITECTURE.md and a pinned version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        p for extra in project["optional-dependencies"].values() for p in extra
    ]
    names = {re.split(r"[\[<>=~! ]", requirement)[0] for requirement in wanted}
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## Dependencies")[2].partition("\n## ")[0]
    explained = {name for name in names if name in text or name.startswith("types-")}
    explained |= {"opentelemetry-exporter-otlp-proto-grpc"} & names  # the row says `-exporter-...`
    assert names - explained == set()
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert {name for name in names if name.lower() not in pinned} == set()
