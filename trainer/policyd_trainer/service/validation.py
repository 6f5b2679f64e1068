"""What a request to train must be, before it is queued."""

from __future__ import annotations

import json
import math
import re

from policy_api.v1.training_pb2 import CreateTrainingJobRequest, ListTrainingJobsRequest, TrainingSpec
from policyd.errors import InvalidArgument
from policyd.experience import CLIENTS
from policyd.repository.names import validate_alias_name
from policyd_trainer.config import TrainingConfig, resolve_config
from policyd_trainer.experience.config import LearnConfig, check_gate
from policyd_trainer.experience.spaces import ALGORITHM, first_config
from policyd_trainer.gate.config import Gate
from policyd_trainer.service.ceilings import Ceilings
from policyd_trainer.service.environments import AllowList

MAX_REQUEST_ID = 128
DEFAULT_PAGE = 100
MAX_PAGE = 1000
_PAGE_TOKEN = re.compile(r"[0-9]{1,18}")  # a job's number; any database can store it


def check_create(
    request: CreateTrainingJobRequest, environments: AllowList, ceilings: Ceilings
) -> TrainingConfig | None:
    """Checks what can be checked without making the environment.

    Returns the configuration if its environment is one of Gymnasium's, for the check that makes it.
    Returns None for any other: making it runs its code, so its worker does that.

    Raises:
        InvalidArgument: names the field.
        PermissionDenied: the environment is not allowed.
    """
    if len(request.request_id) > MAX_REQUEST_ID:
        raise InvalidArgument.of(
            "request_id", got=f"{len(request.request_id)} characters", wanted=f"at most {MAX_REQUEST_ID}"
        )
    if request.spec.source == TrainingSpec.EXPERIENCE:
        return check_learning(request.spec, environments, ceilings)
    config = check_spec(request.spec)
    ceilings.check(config)
    environments.check(config.env_id)
    wrappers = [wrapper.entry_point for wrapper in config.wrappers]
    environments.check_wrappers(wrappers)
    is_own = environments.is_own(config.env_id) and all(map(environments.is_own_wrapper, wrappers))
    return config if is_own else None


def check_spec(spec: TrainingSpec) -> TrainingConfig:
    """The configuration of the run that the spec describes.

    Raises:
        InvalidArgument: names the field.
    """
    settings = dict(spec.settings)
    if spec.init_from:
        settings["init_from"] = spec.init_from
    if spec.HasField("spaces"):
        raise InvalidArgument.of("spec.spaces", got="spaces", wanted="none: only with source EXPERIENCE")
    config = resolve_config(spec.policy, spec.env_id, spec.algorithm, spec.seed, settings)
    if spec.init_from and "init_from" in spec.settings:
        raise InvalidArgument.of("settings[init_from]", got="a setting", wanted="the field `init_from` alone")
    _check_promotion(spec)
    return config


def settings_of(spec: TrainingSpec) -> dict[str, str]:
    """Every setting that the run would have, by name, each value as JSON.

    For a job that learns from experience these are its own settings and those that were given. The
    others come from the version that it starts from.

    Raises:
        InvalidArgument: names the field.
    """
    if spec.source != TrainingSpec.EXPERIENCE:
        return check_spec(spec).settings()
    own, given = LearnConfig.split(spec.settings)
    if spec.HasField("spaces"):
        given = first_config(
            spec.policy, spec.algorithm, spec.seed, given, spec.spaces, spec.env_id
        ).settings()
    return {**given, **{name: json.dumps(value) for name, value in own.model_dump().items()}}


def check_learning(spec: TrainingSpec, environments: AllowList, ceilings: Ceilings) -> TrainingConfig | None:
    """Checks a job that learns from experience.

    Its worker finds out whether the policy has a version.

    Returns the same as `check_create`.

    Raises:
        InvalidArgument: names the field.
        PermissionDenied: the environment is not allowed.
    """
    if spec.init_from:
        wanted = "none with source EXPERIENCE: promotion.alias names the version to start from"
        raise InvalidArgument.of("spec.init_from", got=spec.init_from, wanted=wanted)
    own, settings = LearnConfig.split(spec.settings)
    check_gate(own, spec.env_id)
    algorithm = spec.algorithm or ALGORITHM
    env_id = spec.env_id or CLIENTS
    if spec.env_id:
        environments.check(spec.env_id)
    elif spec.promotion.HasField("min_return") or spec.promotion.HasField("gate"):
        wanted = "the environment that the gate of `promotion` plays; without one there is no gate"
        raise InvalidArgument.of("spec.env_id", got="nothing", wanted=wanted)
    if spec.HasField("spaces"):
        first_config(spec.policy, algorithm, spec.seed, settings, spec.spaces, spec.env_id)
    config = resolve_config(spec.policy, env_id, algorithm, spec.seed, settings)
    environments.check_wrappers([wrapper.entry_point for wrapper in config.wrappers])
    if own.correction == "vtrace" and spec.algorithm == "reinforce":
        raise InvalidArgument.of(
            "settings[correction]", got="vtrace", wanted="weighted, clip or none with reinforce"
        )
    if config.init_from is not None:
        raise InvalidArgument.of("settings[init_from]", got="a setting", wanted="none with EXPERIENCE")
    ceilings.check(config)
    _check_promotion(spec)
    return config if spec.env_id and environments.is_own(spec.env_id) and not config.wrappers else None


def _check_promotion(spec: TrainingSpec) -> None:
    Gate.of(spec.promotion.gate)
    if spec.promotion.alias:
        validate_alias_name(spec.promotion.alias, field="spec.promotion.alias")
    if not math.isfinite(spec.promotion.min_return):
        raise InvalidArgument.of(
            "spec.promotion.min_return", got=spec.promotion.min_return, wanted="a finite number"
        )


def page_of(request: ListTrainingJobsRequest) -> tuple[int, int | None]:
    """The page's size, and the job number that it comes before."""
    if not 0 <= request.page_size <= MAX_PAGE:
        raise InvalidArgument.of("page_size", got=request.page_size, wanted=f"1 to {MAX_PAGE}, or 0")
    if request.page_token and not _PAGE_TOKEN.fullmatch(request.page_token):
        raise InvalidArgument.of(
            "page_token", got=repr(request.page_token), wanted="an earlier next_page_token"
        )
    return request.page_size or DEFAULT_PAGE, int(request.page_token) if request.page_token else None
