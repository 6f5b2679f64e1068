"""`policyd-trainer learn`.

Learns from clients' episodes until it is stopped, for people and for jobs.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import click
from google.protobuf import json_format

from policy_api.v1.training_pb2 import Spaces, TrainingFailure
from policyd.errors import Internal, InvalidArgument, PolicydError
from policyd.repository import ModelRepository
from policyd.repository.names import validate_policy_name
from policyd.repository.object_url import open_objects
from policyd.repository.option import LOCATION
from policyd.temporary import TemporaryFolder
from policyd_trainer.experience.config import LearnConfig
from policyd_trainer.experience.job import ContinuousJob
from policyd_trainer.experience.options import JobOptions
from policyd_trainer.experience.source import Source
from policyd_trainer.experience.telling import LearningClock
from policyd_trainer.guardian.board import BOARD
from policyd_trainer.runs.ending import leave, own_stream, trace_crashes
from policyd_trainer.runs.failures import watchdog_of
from policyd_trainer.runs.options import absolute, parse_settings, promotion_of, reporter_of
from policyd_trainer.runs.reporting import Reporter
from policyd_trainer.runs.stopping import STOPPED, stop_signal
from policyd_trainer.runs.training import Stopped

logger = logging.getLogger(__name__)


@click.command()
@click.option("--policy", required=True, envvar="POLICYD_POLICY", help="The policy that learns.")
@click.option(
    "--repository",
    required=True,
    envvar="POLICYD_REPOSITORY",
    type=LOCATION,
    help="A folder, or s3://, gs:// or az:// with bucket and prefix.",
)
@click.option(
    "--experience",
    envvar="POLICYD_EXPERIENCE",
    type=click.Path(path_type=Path, file_okay=False),
    help="The server's folder of recorded experience. [default: `experience` in the repository]",
)
@click.option("--algorithm", default="", help="reinforce or a2c. [default: the version's]")
@click.option(
    "--env", "env_id", default="", help="What the gate plays before the alias moves. [default: no gate]"
)
@click.option("--spaces", default="", help="Of a policy without a version: Spaces as JSON.")
@click.option("--seed", default=0, show_default=True, help="Of the first version, where there is none.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; VALUE is JSON.")
@click.option("--promote/--no-promote", default=True, show_default=True, help="Whether the alias follows.")
@click.option("--alias", default="champion", show_default=True, help="The alias that follows the learning.")
@click.option("--min-return", type=float, help="With --env: smallest greedy mean return.")
@click.option("--gate", default="{}", help="With --env: GateConfig as JSON. [default: BETTER]")
@click.option(
    "--progress",
    type=click.Choice(["bar", "json", "none"]),
    default="bar",
    show_default=True,
    help="A bar for people, JSON lines for programs, or nothing.",
)
@click.option("--job-id", default="", help="Publishing twice under one id makes one version.")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Checkpoints; the same again goes on. [default: none; goes on from the alias]",
)
def learn(**arguments: Any) -> None:
    """Learn from the episodes that clients report, and publish as it gets better.

    Each version is checked against ONNX Runtime before it is published. SIGTERM and Ctrl-C end the
    command between two batches. Started again, it goes on from there.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # environments that draw must not look for a screen
    BOARD.begin(as_json=arguments["progress"] == "json")
    trace_crashes()
    logging.basicConfig(
        level=logging.INFO, stream=own_stream(2, sys.stderr), format="%(levelname)s %(name)s: %(message)s"
    )
    arguments["repository"] = absolute(arguments["repository"])
    with reporter_of(arguments["progress"]) as reporter, ExitStack() as stack:
        code = _run(arguments, reporter, stack)
    leave(code)


def _run(arguments: Mapping[str, Any], reporter: Reporter, stack: ExitStack) -> int:
    """Runs the job and catches every error.

    Returns the exit code: 0 after a result, 1 after a failure, 143 after SIGTERM.
    """
    try:
        config, algorithm = LearnConfig.split(parse_settings(arguments["settings"]))
        clock = LearningClock(reporter, config.max_steps)
        repository = ModelRepository(arguments["repository"])
        repository.prepare()
        source = _source(arguments, stack)
        job = ContinuousJob(repository, source, _options(arguments, algorithm), config, clock)
        env_id = arguments["env_id"]
        with stop_signal() as stop, watchdog_of(env_id, reporter) if env_id else nullcontext():
            reporter.result(job.run(stop))
    except Stopped:
        logger.info("stopped between two batches")
        return STOPPED
    except PolicydError as error:
        reporter.failure(TrainingFailure(reason=error.reason, message=error.message))
        return 1
    except MemoryError as error:
        message = f"it does not fit into memory ({error}); try fewer batch_steps"
        reporter.failure(TrainingFailure(reason="OUT_OF_MEMORY", message=message))
        return 1
    except BaseException:
        logger.exception("learning failed unexpectedly")
        reporter.failure(TrainingFailure(reason=Internal.reason, message="internal error; see the log"))
        return 1
    return 0


def _source(arguments: Mapping[str, Any], stack: ExitStack) -> Source:
    """The server's folder of recorded experience, or a copy of what it wrote to object storage."""
    policy, given, repository = arguments["policy"], arguments["experience"], arguments["repository"]
    if given is not None:
        return Source(given.absolute(), policy)
    if isinstance(repository, Path):
        return Source(repository / "experience", policy)
    run_dir: Path | None = arguments["run_dir"]
    place = run_dir or stack.enter_context(TemporaryFolder("experience")).path
    return Source(place.absolute() / "experience", policy, open_objects(repository))


def _options(arguments: Mapping[str, Any], settings: dict[str, str]) -> JobOptions:
    run_dir: Path | None = arguments["run_dir"]
    return JobOptions(
        policy=validate_policy_name(arguments["policy"]),
        promotion=promotion_of(arguments),
        settings=settings,
        algorithm=arguments["algorithm"],
        env_id=arguments["env_id"],
        seed=arguments["seed"],
        spaces=_spaces(arguments["spaces"]) if arguments["spaces"] else None,
        job_id=arguments["job_id"],
        run_dir=None if run_dir is None else run_dir.absolute(),
    )


def _spaces(text: str) -> Spaces:
    try:
        return json_format.Parse(text, Spaces())
    except json_format.ParseError as error:
        raise InvalidArgument.of(
            "--spaces", got=repr(text[:100]), wanted=f"Spaces as JSON ({error})"
        ) from error
