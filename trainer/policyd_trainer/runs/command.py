"""`policyd-trainer train`: one run, for people and for jobs."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click
from google.protobuf import json_format
from rich.console import Console

from policy_api.v1.gate_pb2 import GateConfig
from policy_api.v1.training_pb2 import TrainingFailure
from policyd.errors import Internal, InvalidArgument, PolicydError
from policyd.quoting import escaped
from policyd.repository.names import validate_alias_name
from policyd.repository.option import LOCATION
from policyd.temporary import TemporaryFolder
from policyd_trainer.config import resolve_config
from policyd_trainer.environments import meddling
from policyd_trainer.environments.errors import EnvironmentFailed, EnvironmentHangs, is_raised_in, shown
from policyd_trainer.environments.watchdog import Watchdog
from policyd_trainer.gate.config import Gate
from policyd_trainer.gate.judging import Promotion
from policyd_trainer.guardian.board import BOARD
from policyd_trainer.report.start import start_report
from policyd_trainer.runs.bar import BarReporter
from policyd_trainer.runs.ending import guardians_stdout, leave, own_stdout, own_stream, trace_crashes
from policyd_trainer.runs.fitting import fitted
from policyd_trainer.runs.phases import RunOptions, execute
from policyd_trainer.runs.reporting import JsonReporter, Reporter, TextReporter
from policyd_trainer.runs.training import Stopped

STEP_TIMEOUT = 60.0  # seconds, if no setting says otherwise
LONGEST_MESSAGE = 10_000  # most characters of a failure's message
STOPPED = 143  # exit code after SIGTERM
SAME_SIGNAL = 1.0  # seconds in which a signal may arrive twice: from the terminal and from the guardian
logger = logging.getLogger(__name__)


@click.command()
@click.option("--policy", required=True, envvar="POLICYD_POLICY", help="Name to publish under.")
@click.option("--env", "env_id", required=True, envvar="POLICYD_ENV", help="EnvId or module:EnvId.")
@click.option(
    "--algorithm", default="a2c", envvar="POLICYD_ALGORITHM", show_default=True, help="reinforce or a2c."
)
@click.option(
    "--repository",
    required=True,
    envvar="POLICYD_REPOSITORY",
    type=LOCATION,
    help="A folder, or s3://, gs:// or az:// with bucket and prefix.",
)
@click.option("--seed", default=0, envvar="POLICYD_SEED", show_default=True, help="Seed of the whole run.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; VALUE is JSON.")
@click.option(
    "--promote/--no-promote",
    default=False,
    envvar="POLICYD_PROMOTE",
    show_default=True,
    help="Whether the gate may point the alias at the new version.",
)
@click.option(
    "--alias", default="champion", envvar="POLICYD_ALIAS", show_default=True, help="The alias to promote to."
)
@click.option("--min-return", type=float, envvar="POLICYD_MIN_RETURN", help="Smallest greedy mean return.")
@click.option("--gate", default="{}", envvar="POLICYD_GATE", help="GateConfig as JSON. [default: BETTER]")
@click.option(
    "--progress",
    type=click.Choice(["bar", "json", "none"]),
    default="bar",
    envvar="POLICYD_PROGRESS",
    show_default=True,
    help="A bar for people, JSON lines for programs, or nothing.",
)
@click.option(
    "--report/--no-report",
    default=True,
    show_default=True,
    help="Draw the report after the run.",
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
    """Train one policy, evaluate it, export it to ONNX and publish it.

    With --promote the new version may become the champion.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # environments that draw must not look for a screen
    BOARD.begin(as_json=arguments["progress"] == "json")
    trace_crashes()
    logging.basicConfig(
        level=logging.INFO, stream=own_stream(2, sys.stderr), format="%(levelname)s %(name)s: %(message)s"
    )
    if arguments["request_id"]:
        logger.info("request id %s", arguments["request_id"])
    if isinstance(repository := arguments["repository"], Path):
        arguments["repository"] = repository.absolute()  # environments may change the working folder
    with _run_dir(arguments["run_dir"]) as run_dir, reporter_of(arguments["progress"]) as reporter:
        code = _run({**arguments, "run_dir": run_dir}, reporter)
    leave(code)


def _run(arguments: Mapping[str, Any], reporter: Reporter) -> int:
    """Runs the training and catches every error.

    Returns the exit code: 0 after a result, 1 after a failure, 143 after SIGTERM. The board has
    each end before the environments are freed, because freeing them may hang.
    """
    try:
        settings = parse_settings(arguments["settings"])
        config = resolve_config(
            arguments["policy"], arguments["env_id"], arguments["algorithm"], arguments["seed"], settings
        )
        with stop_signal() as stop, watchdog_of(config.env_id, reporter, config.step_timeout):
            result = execute(fitted(config, settings), _options(arguments), reporter, stop)
            if arguments["report"]:
                start_report(arguments["repository"], result.policy, result.version)
            reporter.result(result)
            BOARD.report(0)
    except Stopped:
        logger.info("stopped; the same --run-dir goes on from the checkpoint")
        BOARD.report(STOPPED)
        return STOPPED
    except PolicydError as error:
        return _failed(reporter, error.reason, error.message)
    except MemoryError as error:
        message = f"it does not fit into memory ({error}); try fewer n_envs or n_steps"
        return _failed(reporter, "OUT_OF_MEMORY", message)
    except Exception as error:  # noqa: BLE001  the error is logged there
        return _failed_unexpectedly(reporter, arguments["env_id"], error)
    except BaseException as error:  # raised outside of the watched calls, in a property for example
        with contextlib.suppress(Exception):
            logger.exception("the run was ended from within")
        told = f"its code raised {shown(error)}, which would have ended the process"
        message = f"{arguments['env_id']}: {told}"
        return _failed(reporter, EnvironmentFailed.reason, message)
    return 0


def _failed_unexpectedly(reporter: Reporter, env_id: str, error: Exception) -> int:
    """Reports an error that no code expected.

    It is an internal error, unless the environment has changed what the trainer's code uses.
    """
    changed = meddling.found()
    meddling.undo()
    with contextlib.suppress(Exception):  # an environment may have broken what logging needs
        logger.error("the run failed unexpectedly", exc_info=error)
    if changed:
        names = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        told = f"its code changed {names} for the whole process; the run then failed with {shown(error)}"
    elif is_raised_in(env_id, error):
        told = f"its code raised {shown(error)} where no call of it was expected: a hook or a callback"
    else:
        return _failed(reporter, Internal.reason, "internal error; see the log")
    return _failed(reporter, EnvironmentFailed.reason, f"{env_id}: {told}")


def _failed(reporter: Reporter, reason: str, message: str) -> int:
    """Reports a failure. Returns the exit code.

    `message` may contain an environment's own text: long, with several lines, and not UTF-8.
    """
    told = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}..."
    told = escaped(told.encode(errors="replace").decode())
    reporter.failure(TrainingFailure(reason=reason, message=told))
    BOARD.report(1)
    return 1


def watchdog_of(env_id: str, reporter: Reporter, seconds: float = STEP_TIMEOUT) -> Watchdog:
    """Ends the process when a call into the environment takes longer than `seconds`."""

    def last_words(message: str) -> None:
        reporter.failure(TrainingFailure(reason=EnvironmentHangs.reason, message=message))

    return Watchdog(seconds, env_id, last_words)


def _options(arguments: Mapping[str, Any]) -> RunOptions:
    promotion = promotion_of(arguments)
    return RunOptions(arguments["repository"], arguments["run_dir"], arguments["job_id"], promotion)


def promotion_of(arguments: Mapping[str, Any]) -> Promotion:
    """The promotion that --promote, --alias, --min-return and --gate describe.

    Raises:
        InvalidArgument: names the option.
    """
    alias = validate_alias_name(arguments["alias"])
    gate = Gate.of(_parse_gate(arguments["gate"]), "--gate")
    return Promotion(arguments["promote"], alias, arguments["min_return"], gate)


def _parse_gate(text: str) -> GateConfig:
    try:
        return json_format.Parse(text, GateConfig())
    except json_format.ParseError as error:
        raise InvalidArgument.of(
            "--gate", got=repr(text), wanted=f"a GateConfig as JSON ({error})"
        ) from error


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """The settings by name, each value as JSON.

    Raises:
        InvalidArgument: a pair is not NAME=VALUE.
    """
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidArgument.of("--set", got=repr(pair), wanted="KEY=VALUE")
        settings[name.strip()] = value
    return settings


@contextlib.contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether SIGTERM or SIGINT came.

    Another signal a second later ends the process as usual.
    """
    received: list[float] = []

    def receive(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  signal's signature
        received.append(time.monotonic())
        if received[-1] - received[0] > SAME_SIGNAL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def stop_requested() -> bool:
        for number in before:
            if signal.getsignal(number) is not receive:  # an environment has set a handler of its own
                signal.signal(number, receive)
        return bool(received)

    before = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop_requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _run_dir(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.absolute()
        return
    with TemporaryFolder("runs") as folder:
        yield folder.path


@contextlib.contextmanager
def reporter_of(kind: str) -> Iterator[Reporter]:
    """The reporter that `--progress` asks for: `bar`, `json` or `none`."""
    if kind == "json":
        yield JsonReporter(own_stdout(), guardians_stdout)
    elif kind == "none":
        stream = own_stream(1, sys.stdout)
        yield TextReporter(lambda line: click.echo(line, file=stream))
    else:
        with BarReporter(Console(file=own_stream(2, sys.stderr))) as bar:
            yield bar
