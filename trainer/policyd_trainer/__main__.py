"""`policyd-trainer` and `python -m policyd_trainer`: their commands."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

import click

from policyd.runtime.commands import LazyGroup, version_option
from policyd_trainer.guardian.board import attach_inherited
from policyd_trainer.guardian.watch import guarded
from policyd_trainer.report.start import DEADLINE

#: Command: where it is defined, and its line in `--help`. Modules are imported when a command runs.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "train": (
        "policyd_trainer.runs.command:train",
        "Train one policy, evaluate it, export it to ONNX and publish it.",
    ),
    "learn": (
        "policyd_trainer.experience.command:learn",
        "Learn from the episodes that clients report, and publish as it gets better.",
    ),
    "report": ("policyd_trainer.report.command:report", "Draw the report of a published version."),
    "serve": ("policyd_trainer.service.command:serve", "Offer the TrainingService over gRPC."),
    "tune": (
        "policyd_trainer.tuning.command:tune",
        "Search for good settings of an algorithm on an environment.",
    ),
}


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    extra="trainer",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@version_option
def app() -> None:
    """Learns policies and publishes them."""


def main() -> None:
    """Runs a command.

    A command that runs environments does so in a child process, and this process watches over the
    child.
    """
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in ("train", "learn", "report") and not attach_inherited():
        sys.exit(guarded(_run, DEADLINE if command == "report" else math.inf))
    _run()


def _run() -> None:
    """Runs the command, or prints one line if the extra `trainer` is not installed."""
    app(prog_name="policyd-trainer")


if __name__ == "__main__":
    main()
