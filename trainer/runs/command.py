"""`python -m trainer train`: one run, for people and for jobs."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click
from google.protobuf import json_format
from rich.console import Console

from policy_api.errors import Internal, InvalidArgument, PolicydError
from policy_api.v1.gate_pb2 import GateConfig
from policy_api.v1.training_pb2 import TrainingFailure
from repository.names import validate_alias_name
from trainer.config import TrainingConfig, resolve_config
from trainer.environments.errors import EnvironmentHangs
from trainer.environments.watchdog import Watchdog
from trainer.gate.config import Gate
from trainer.gate.judging import Promotion
from trainer.runs.bar import BarReporter
from trainer.runs.fitting import fitted
from trainer.runs.phases import RunOptions, execute
from trainer.runs.reporting import JsonReporter, Reporter, TextReporter
from trainer.runs.training import Stopped

STOPPED = 143  # exit code after SIGTERM
logger = logging.getLogger(__name__)


@click.command()
@click.option("--policy", required=True, envvar="POLICYD_POLICY", help="Name to publish under.")
@click.option("--env", "env_id", required=True, envvar="POLICYD_ENV", help="EnvId or module:EnvId.")
@click.option("--algorithm", default="a2c", envvar="POLICYD_ALGORITHM", help="reinforce or a2c.")
@click.option(
    "--repository",
    required=True,
    envvar="POLICYD_REPOSITORY",
    type=click.Path(path_type=Path, file_okay=False),
)
@click.option("--seed", default=0, envvar="POLICYD_SEED", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; VALUE is JSON.")
@click.option("--promote/--no-promote", default=False, envvar="POLICYD_PROMOTE", show_default=True)
@click.option("--alias", default="champion", envvar="POLICYD_ALIAS", show_default=True)
@click.option("--min-return", type=float, envvar="POLICYD_MIN_RETURN", help="Greedy mean to be promoted.")
@click.option("--gate", default="{}", envvar="POLICYD_GATE", help="GateConfig as JSON. [default: BETTER]")
@click.option(
    "--progress", type=click.Choice(["bar", "json", "none"]), default="bar", envvar="POLICYD_PROGRESS"
)
@click.option("--job-id", default="", help="Publishing twice under one id makes one version.")
@click.option(
    "--request-id",
    default="",
    envvar="POLICYD_REQUEST_ID",
    help="Of the call that asked for it; for the log.",
)
@click.option("--run-dir", type=click.Path(path_type=Path), help="Checkpoints; the same again goes on.")
def train(**arguments: Any) -> None:
    """Train one policy, evaluate it, export it to ONNX, publish it, and promote it if asked to."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # environments that draw look for no screen
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    if arguments["request_id"]:
        logger.info("request id %s", arguments["request_id"])
    with _run_dir(arguments["run_dir"]) as run_dir, _reporter(arguments["progress"]) as reporter:
        sys.exit(_run({**arguments, "run_dir": run_dir}, reporter))


def _run(arguments: Mapping[str, Any], reporter: Reporter) -> int:
    """Exit code: 0 after a result, 1 after a failure, 143 after SIGTERM."""
    try:
        settings = _parse_settings(arguments["settings"])
        config = resolve_config(
            arguments["policy"], arguments["env_id"], arguments["algorithm"], arguments["seed"], settings
        )
        with _stop_signal() as stop, _watchdog(config, reporter):
            reporter.result(execute(fitted(config, settings), _options(arguments), reporter, stop))
    except Stopped:
        logger.info("stopped; the same --run-dir goes on from the checkpoint")
        return STOPPED
    except PolicydError as error:
        reporter.failure(TrainingFailure(reason=error.reason, message=error.message))
        return 1
    except Exception:
        logger.exception("the run failed unexpectedly")
        reporter.failure(TrainingFailure(reason=Internal.reason, message="internal error; see the log"))
        return 1
    return 0


def _watchdog(config: TrainingConfig, reporter: Reporter) -> Watchdog:
    def last_words(message: str) -> None:
        reporter.failure(TrainingFailure(reason=EnvironmentHangs.reason, message=message))

    return Watchdog(config.step_timeout, config.env_id, last_words)


def _options(arguments: Mapping[str, Any]) -> RunOptions:
    alias = validate_alias_name(arguments["alias"])
    gate = Gate.of(_parse_gate(arguments["gate"]), "--gate")
    promotion = Promotion(arguments["promote"], alias, arguments["min_return"], gate)
    return RunOptions(arguments["repository"], arguments["run_dir"], arguments["job_id"], promotion)


def _parse_gate(text: str) -> GateConfig:
    try:
        return json_format.Parse(text, GateConfig())
    except json_format.ParseError as error:
        raise InvalidArgument.of(
            "--gate", got=repr(text), wanted=f"a GateConfig as JSON ({error})"
        ) from error


def _parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidArgument.of("--set", got=repr(pair), wanted="KEY=VALUE")
        settings[name.strip()] = value
    return settings


@contextlib.contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT came; the second one ends the process as usual."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal's signature
        received.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _run_dir(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="policyd-run-") as temporary:
        yield Path(temporary)


@contextlib.contextmanager
def _reporter(kind: str) -> Iterator[Reporter]:
    if kind == "json":
        yield JsonReporter(sys.stdout)
    elif kind == "none":
        yield TextReporter(click.echo)
    else:
        with BarReporter(Console(stderr=True)) as bar:
            yield bar
