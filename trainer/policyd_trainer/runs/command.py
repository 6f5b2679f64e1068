"""`policyd-trainer train`: one run, for people and for jobs."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from policyd.errors import PolicydError
from policyd.repository.option import LOCATION
from policyd.temporary import TemporaryFolder
from policyd_trainer.config import resolve_config
from policyd_trainer.environments.errors import EnvironmentFailed, shown
from policyd_trainer.guardian.board import BOARD
from policyd_trainer.report.start import start_report
from policyd_trainer.runs import failures
from policyd_trainer.runs.ending import leave, own_stream, trace_crashes
from policyd_trainer.runs.fitting import fitted
from policyd_trainer.runs.options import absolute, parse_settings, promotion_of, reporter_of
from policyd_trainer.runs.phases import RunOptions, execute
from policyd_trainer.runs.reporting import Reporter
from policyd_trainer.runs.stopping import STOPPED, stop_signal
from policyd_trainer.runs.training import Stopped

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
    arguments["repository"] = absolute(arguments["repository"])
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
        with stop_signal() as stop, failures.watchdog_of(config.env_id, reporter, config.step_timeout):
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
        return failures.report(reporter, error.reason, error.message)
    except MemoryError as error:
        message = f"it does not fit into memory ({error}); try fewer n_envs or n_steps"
        return failures.report(reporter, "OUT_OF_MEMORY", message)
    except Exception as error:  # noqa: BLE001  the error is logged there
        return failures.report_unexpected(reporter, arguments["env_id"], error)
    except BaseException as error:  # raised outside of the watched calls, in a property for example
        with contextlib.suppress(Exception):
            logger.exception("the run was ended from within")
        told = f"its code raised {shown(error)}, which would have ended the process"
        message = f"{arguments['env_id']}: {told}"
        return failures.report(reporter, EnvironmentFailed.reason, message)
    return 0


def _options(arguments: Mapping[str, Any]) -> RunOptions:
    promotion = promotion_of(arguments)
    return RunOptions(arguments["repository"], arguments["run_dir"], arguments["job_id"], promotion)


@contextlib.contextmanager
def _run_dir(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.absolute()
        return
    with TemporaryFolder("runs") as folder:
        yield folder.path
