"""`--help` of the three programs: every command and every option is explained."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from policyd.runtime.commands import WholeSummaries
from tests.docs.programs import PROGRAMS


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _commands(f"{name} {below}", found)


@pytest.mark.parametrize("name", PROGRAMS)
def test_everything_is_explained(name: str) -> None:
    """A command says what it does, and each of its options what it means."""
    for path, command in _commands(name, PROGRAMS[name]):
        assert command.help, path
        options = [each for each in command.params if isinstance(each, click.Option)]
        assert [f"{path} {each.opts[0]}" for each in options if not each.help] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_summary_is_cut(name: str) -> None:
    """The help of each group shows the whole first sentence of its commands."""
    groups = [each for each in _commands(name, PROGRAMS[name]) if isinstance(each[1], click.Group)]
    assert [path for path, group in groups if not isinstance(group, WholeSummaries)] == []
