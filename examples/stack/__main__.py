"""`make up`: trainer and server for use on this machine, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import click

from examples.stack import ProcessFailure, Stack, StackSettings
from examples.stack.processes import START_SECONDS


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path("var"), show_default=True)
@click.option("--listen", envvar="POLICYD_LISTEN", default="127.0.0.1:50051", show_default=True)
@click.option("--trainer", envvar="POLICYD_TRAINER", default="127.0.0.1:50052", show_default=True)
@click.option("--metrics", envvar="POLICYD_METRICS", default="127.0.0.1:9464", show_default=True)
@click.option(
    "--start-seconds",
    envvar="POLICYD_START_SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=START_SECONDS,
    show_default=True,
    help="Seconds in which each of the two must listen.",
)
@click.option("--port-file", type=click.Path(path_type=Path), help="Gets the server's address once both run.")
def up(
    folder: Path, listen: str, trainer: str, metrics: str, start_seconds: float, port_file: Path | None
) -> None:
    """Start trainer and server, say how to reach them, stop both in order on Ctrl-C."""
    settings = StackSettings(folder.resolve(), listen, trainer, metrics, start_seconds)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Stack(settings) as stack:
            click.echo(_help(stack))
            if port_file is not None:
                port_file.write_text(stack.server_address)
            while True:  # until a signal comes, or one of them ends
                stack.check()
                time.sleep(0.2)
    except ProcessFailure as failure:
        click.echo(f"up: {failure}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("\nup: both stopped")


def _help(stack: Stack) -> str:
    server = "" if stack.server_address == "127.0.0.1:50051" else f" --server {stack.server_address}"
    policyctl = f"{Path(sys.executable).parent / 'policyctl'}{server}"
    return f"""server   {stack.server_address}  (log {stack.server.log})
trainer  {stack.trainer_address}  (log {stack.trainer.log})
models   {stack.settings.repository}

  {policyctl} retrain --policy cartpole --env CartPole-v1 --algorithm a2c --wait
  {policyctl} play --policy cartpole
  {policyctl} act --policy cartpole 0,0.1,0,-0.1

Ctrl-C stops both; a job that runs goes on at the next start."""


if __name__ == "__main__":
    up()
