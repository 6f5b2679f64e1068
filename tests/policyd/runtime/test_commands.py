"""The three commands: versions, quick and whole help, and a line where an extra is missing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import pytest

from policyd import __version__
from policyd.cli.app import app as policyctl
from policyd.runtime.commands import MISSING_EXTRA, LazyGroup, first_sentence
from policyd_trainer.__main__ import app as policyd_trainer

COMMANDS = {"policyctl": "policyd", "policyd-server": "policyd_server", "policyd-trainer": "policyd_trainer"}
SERVE = {"policyd-server": (), "policyd-trainer": ("serve",)}


def _run(command: str, *arguments: str, blocked: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own.

    Modules in the folder `blocked` are found before all others.
    """
    variables = {"COLUMNS": "200"} if blocked is None else {"COLUMNS": "200", "PYTHONPATH": str(blocked)}
    return subprocess.run(
        [sys.executable, "-m", COMMANDS[command], *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_version(command: str) -> None:
    """`--version` prints the name and the version of the package."""
    done = _run(command, "--version")
    assert (done.returncode, done.stdout) == (0, f"{command} {__version__}\n"), done.stderr


def test_help_imports_neither_numpy_nor_grpc() -> None:
    """`policyctl --help` is fast: numpy and grpc are imported only when a command runs."""
    program = (
        "import sys\n"
        "from policyd.cli.app import run\n"
        "code = run(['--help'])\n"
        "heavy = {'numpy', 'grpc', 'google.protobuf', 'pydantic', 'rich', 'yaml'} & set(sys.modules)\n"
        "sys.exit(str(sorted(heavy)) if heavy else code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "retrain" in done.stdout


@pytest.mark.parametrize("group", [policyctl, policyd_trainer], ids=["policyctl", "policyd-trainer"])
def test_the_entries_say_what_the_commands_say(group: LazyGroup) -> None:
    """Each summary in a group is the first sentence of the command's own help."""
    context = click.Context(group)
    for name, (path, summary) in group.entries.items():
        module, _, attribute = path.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert command.name == name
        assert first_sentence(command.help) == summary
        assert group.get_command(context, name) is command


@pytest.mark.parametrize("arguments", [(), ("jobs",)])
def test_no_summary_is_cut(arguments: tuple[str, ...]) -> None:
    """Help shows whole sentences, even in a narrow terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "policyd", *arguments, "--help"],
        env=os.environ | {"COLUMNS": "60"},
        capture_output=True,
        text=True,
        check=True,
    )
    commands = done.stdout.partition("Commands:")[2]
    assert commands.count(".\n") >= 4
    assert "..." not in commands


@pytest.mark.parametrize(
    ("command", "package"), [("policyd-server", "uvloop"), ("policyd-trainer", "prometheus_client")]
)
def test_a_missing_extra_is_one_line(command: str, package: str, tmp_path: Path) -> None:
    """Without the packages of its extra, a service says what to install.

    `--version` still works.
    """
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('gone', name={package!r})")
    done = _run(command, *SERVE[command], blocked=tmp_path)
    extra = command.removeprefix("policyd-")
    line = f"{command}: the package {package} is not installed: pip install 'policyd[{extra}]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (MISSING_EXTRA, "", line)
    assert _run(command, "--version", blocked=tmp_path).returncode == 0


def test_a_bug_of_ours_is_not_a_missing_extra(tmp_path: Path) -> None:
    """The error for a missing module of policyd itself is shown with its traceback."""
    (tmp_path / "uvloop.py").write_text("import policyd.nowhere")
    done = _run("policyd-server", blocked=tmp_path)
    assert "No module named 'policyd.nowhere'" in done.stderr
    assert "pip install" not in done.stderr


def test_completion_knows_the_commands_and_imports_nothing() -> None:
    """Pressing Tab after `policyctl ro` gives rollback with its summary, without numpy or grpc."""
    program = (
        "import sys, atexit\n"
        "from policyd.cli.app import run\n"
        "atexit.register(lambda: print(sorted({'numpy', 'grpc'} & set(sys.modules)), file=sys.stderr))\n"
        "run()\n"
    )
    variables = {"_POLICYCTL_COMPLETE": "zsh_complete", "COMP_WORDS": "policyctl ro", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    kind, name, summary = done.stdout.splitlines()
    assert (kind, name, done.stderr) == ("plain", "rollback", "[]\n")
    assert summary == policyctl_entries()["rollback"][1]


def policyctl_entries() -> Mapping[str, tuple[str, str]]:
    """The commands of policyctl."""
    assert isinstance(policyctl, LazyGroup)
    return policyctl.entries


def test_ctrl_c_during_imports_is_one_line(tmp_path: Path) -> None:
    """Interrupted while modules are imported, a service prints a line, without a traceback."""
    (tmp_path / "uvloop.py").write_text("raise KeyboardInterrupt")
    done = _run("policyd-server", "--help", blocked=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "policyd-server: interrupted\n")
