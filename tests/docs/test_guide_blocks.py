"""Every block of README and guide: its commands, options, files and names exist.

Nothing is started. The pages whose samples run in full have tests of their own.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import json
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import yaml

from policyd import Actions, ActOptions, PolicyClient
from tests.docs.pages import ROOT, Block, Call, blocks, calls
from tests.docs.programs import PROGRAMS

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
#: Files that other programs make, for options that need an existing file.
FILES = ("receipt.json", "spaces.yaml", "cartpole-1.tar", "cartpole.tar", "model.onnx", "frames.npy")


@pytest.fixture
def parsed_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the files that pages mention. click's commands parse and do nothing."""
    monkeypatch.setattr(click.Command, "invoke", lambda self, context: None)
    for name in FILES:
        (tmp_path / name).touch()
    for name in ("policies", "examples", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "secrets/clients").mkdir(parents=True)
    for name in ("act.token", "ca.crt"):
        (tmp_path / "secrets/clients" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", blocks("sh", "bash"), ids=str)
def test_commands_are_right(
    block: Block, parsed_only: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The shell accepts the block, and each program accepts its arguments."""
    folder = tmp_path_factory.mktemp("shell")
    (folder / "secrets/clients").mkdir(parents=True)
    (folder / "secrets/clients/act.token").write_text("token")
    for name in ("repository.tar", "jobs.tar", "jobs.dump"):
        (folder / name).touch()
    wrong = {str(call): why for call in calls(block.text, folder) if (why := _wrong_with(call))}
    assert wrong == {}


def _wrong_with(call: Call) -> str:
    """Why a command cannot work. Empty if it can, or if nothing is known about the program."""
    if call.name in PROGRAMS and "_POLICYCTL_COMPLETE" not in call.variables:
        return _refusal(call)
    if call.name == "make":
        targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        missing = set(call.arguments) - set(targets)
    elif call.name == "python":
        missing = {name for name in call.arguments[1:2] if call.arguments[0] == "-m" and not find_spec(name)}
    elif call.name == "docker-compose":
        flags = zip(call.arguments, call.arguments[1:], strict=False)
        missing = {name for flag, name in flags if flag == "-f" and not (ROOT / name).is_file()}
    elif call.name == "pip":
        named = re.findall(r"policyd\[([\w,]+)\]", " ".join(call.arguments))
        missing = {extra for extras in named for extra in extras.split(",")} - EXTRAS.keys()
    else:
        missing = set()
    return f"there is no {', '.join(sorted(missing))}" if missing else ""


def _refusal(call: Call) -> str:
    """The error of one of our programs about its arguments."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in call.variables.items():
            environment.setenv(name, value)
        try:
            PROGRAMS[call.name].main(call.arguments, prog_name=call.name, standalone_mode=False)
        except click.ClickException as error:
            return error.format_message()
    return ""


def test_every_command_is_told() -> None:
    """The table of docs/guide/policyctl.md names each command of `policyctl --help`."""
    table = re.findall(r"^\| (`.+?) \|", (ROOT / "docs/guide/policyctl.md").read_text(), re.MULTILINE)
    told = {name.split()[0] for cell in table for name in re.findall(r"`([^`]+)`", cell)}
    policyctl = PROGRAMS["policyctl"]
    assert isinstance(policyctl, click.Group)
    assert set(policyctl.list_commands(click.Context(policyctl))) <= told


def test_every_option_of_a_request_is_told() -> None:
    """docs/guide/client.md has each option and each field; `act` names each option."""
    text = (ROOT / "docs/guide/client.md").read_text()
    request = text.partition("## What a request says")[2].partition("\n## ")[0]
    response = text.partition("## What a response says")[2].partition("\n## ")[0]
    options = ActOptions.__annotations__.keys()
    assert _first_column(request) == {*options, "timeout"}
    assert _first_column(response) == {field.name for field in dataclasses.fields(Actions)}
    told = re.split(r"[\s,.:]+", PolicyClient.act.__doc__ or "")
    assert set(options) <= set(told)


def _first_column(text: str) -> set[str]:
    cells = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_names_exist(block: Block) -> None:
    """Each block is valid Python, and our names that it imports exist."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("policyd"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, name.name) for name in node.names)


@pytest.mark.parametrize("block", blocks("yaml", "json"), ids=str)
def test_data_can_be_read(block: Block) -> None:
    """Each block is a complete document."""
    assert yaml.safe_load(block.text) if block.language == "yaml" else json.loads(block.text)


def test_the_configuration_shown_is_the_file() -> None:
    """docs/guide/ci.md shows policies/cartpole.yaml unchanged."""
    [shown] = [block for block in blocks("yaml") if block.page.stem == "ci"]
    assert yaml.safe_load(shown.text) == yaml.safe_load((ROOT / "policies/cartpole.yaml").read_text())
