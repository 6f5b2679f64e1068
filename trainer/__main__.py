"""`python -m trainer`: train, serve, tune. A command's modules are imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

# Command: where it lies, and its line in --help.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "train": ("trainer.runs.command:train", "Train one policy and publish it."),
    "serve": ("trainer.service.command:serve", "Offer the TrainingService over gRPC."),
    "tune": ("trainer.tuning.command:tune", "Search for good settings."),
}


class LazyGroup(click.Group):
    """A group that imports the module of a command only when the command runs.

    The unused `ctx` (noqa: ARG002) is click's signature.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup)
def main() -> None:
    """Learns policies and publishes them."""


if __name__ == "__main__":
    main(prog_name="python -m trainer")
