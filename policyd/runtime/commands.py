"""What the three commands share.

Quick help, `--version`, and one line where an extra is missing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from policyd.errors import PolicydError
from policyd.version import __version__

_OURS = ("policyd", "policyd_server", "policyd_trainer", "policy_api")
#: Exit code of a command whose extra is not installed.
MISSING_EXTRA = 2
#: Exit code after Ctrl-C.
INTERRUPTED = 130

_Command = TypeVar("_Command", bound=Callable[..., Any])


def version_option(command: _Command) -> _Command:
    """Adds `--version` to a click command."""
    return click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")(command)


class MissingExtra(click.ClickException):
    """A package of one of policyd's extras is not installed."""

    exit_code = MISSING_EXTRA

    def __init__(self, program: str, module: str, extra: str) -> None:
        super().__init__(f"the package {module} is not installed: pip install 'policyd[{extra}]'")
        self._program = program

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints one line on stderr."""
        click.echo(f"{self._program}: {self.message}", file=file or sys.stderr)


def import_attribute(path: str, program: str, extra: str) -> Any:
    """Returns the attribute that `module:attribute` names.

    Raises MissingExtra if the module needs a package that is not installed and `extra` would bring
    it.
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not extra or missing.partition(".")[0] in _OURS:
            raise
        raise MissingExtra(program, missing, extra) from error


def run_service(program: str, path: str, extra: str) -> None:
    """Runs the click command that `module:attribute` names, as a console script does.

    `--version` imports nothing of the service. If the extra is missing, or if the user presses
    Ctrl-C during the import, this prints one line and exits.
    """
    if sys.argv[1:] in (["--version"], ["-V"]):
        click.echo(f"{program} {__version__}")
        return
    try:
        command: click.Command = import_attribute(path, program, extra)
    except MissingExtra as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo(f"{program}: interrupted", err=True)
        sys.exit(INTERRUPTED)
    command(prog_name=program)


def refusal(error: PolicydError) -> click.ClickException:
    """Returns the error that ends a command: one line, the reason first, as policyctl prints it.

    docs/guide/errors.md lists the reasons.
    """
    return click.ClickException(f"{error.reason}: {error.message}")


class WholeSummaries(click.Group):
    """A group whose help shows the whole first sentence of each command.

    Click would cut long ones.
    """

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes one entry for each command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary(ctx, name)) for name in self.list_commands(ctx)])

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Returns the names in the order in which they were added."""
        return list(self.commands)

    def summary(self, ctx: click.Context, name: str) -> str:
        """Returns the first sentence of a command's help."""
        command = self.get_command(ctx, name)
        return first_sentence(command.help or "") if command is not None else ""


class LazyGroup(WholeSummaries):
    """A group that imports a command's module only when the command runs.

    That keeps `--help` quick.
    """

    def __init__(
        self, *arguments: Any, entries: Mapping[str, tuple[str, str]], extra: str = "", **more: Any
    ) -> None:
        """`entries`: by name, each command's `module:attribute` and summary.

        `extra`: the extra that the modules need.
        """
        super().__init__(*arguments, **more)
        self.entries = entries
        self._extra = extra

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Returns the names in the order of the entries."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns the command."""
        if cmd_name not in self.entries:
            return None
        program = ctx.find_root().info_name or ""
        command: click.Command = import_attribute(self.entries[cmd_name][0], program, self._extra)
        return command

    def summary(self, ctx: click.Context, name: str) -> str:  # noqa: ARG002 -- as above
        """Returns the entry's summary without an import."""
        return self.entries[name][1]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Returns the commands that begin with `incomplete`, with their summaries.

        Nothing is imported, so pressing Tab is quick.
        """
        names = [name for name in self.entries if name.startswith(incomplete)]
        items = [CompletionItem(name, help=self.entries[name][1]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]


def first_sentence(text: str) -> str:
    """Returns the first sentence of a help text, in one line."""
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "."
