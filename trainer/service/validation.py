"""What a request to train must be, before it is queued."""

from __future__ import annotations

import math
import re

from policy_api.errors import InvalidArgument
from policy_api.v1.training_pb2 import CreateTrainingJobRequest, ListTrainingJobsRequest, TrainingSpec
from repository.names import validate_alias_name
from trainer.config import TrainingConfig, resolve_config
from trainer.environments.make import inspect
from trainer.gate.config import Gate
from trainer.service.environments import AllowList

MAX_REQUEST_ID = 128
DEFAULT_PAGE = 100
MAX_PAGE = 1000
_PAGE_TOKEN = re.compile(r"[0-9]{1,18}")  # a job's number, which any database takes


def check_create(request: CreateTrainingJobRequest, environments: AllowList) -> None:
    """InvalidArgument names the field; PermissionDenied: the environment is not allowed. Blocking."""
    if len(request.request_id) > MAX_REQUEST_ID:
        raise InvalidArgument.of(
            "request_id", got=f"{len(request.request_id)} characters", wanted=f"at most {MAX_REQUEST_ID}"
        )
    config = check_spec(request.spec)
    environments.check(config.env_id)
    wrappers = [wrapper.entry_point for wrapper in config.wrappers]
    environments.check_wrappers(wrappers)
    if environments.is_own(config.env_id) and all(
        map(environments.is_own_wrapper, wrappers)
    ):  # of others the worker finds out: making one runs its code
        inspect(config)


def check_spec(spec: TrainingSpec) -> TrainingConfig:
    """The run that it describes. InvalidArgument names the field."""
    settings = dict(spec.settings)
    if spec.init_from:
        settings["init_from"] = spec.init_from
    config = resolve_config(spec.policy, spec.env_id, spec.algorithm, spec.seed, settings)
    if spec.init_from and "init_from" in spec.settings:
        raise InvalidArgument.of("settings[init_from]", got="a setting", wanted="the field `init_from` alone")
    Gate.of(spec.promotion.gate)
    if spec.promotion.alias:
        validate_alias_name(spec.promotion.alias, field="spec.promotion.alias")
    if not math.isfinite(spec.promotion.min_return):
        raise InvalidArgument.of(
            "spec.promotion.min_return", got=spec.promotion.min_return, wanted="a finite number"
        )
    return config


def page_of(request: ListTrainingJobsRequest) -> tuple[int, int | None]:
    """Page size and the number before which the page lies."""
    if not 0 <= request.page_size <= MAX_PAGE:
        raise InvalidArgument.of("page_size", got=request.page_size, wanted=f"1 to {MAX_PAGE}, or 0")
    if request.page_token and not _PAGE_TOKEN.fullmatch(request.page_token):
        raise InvalidArgument.of(
            "page_token", got=repr(request.page_token), wanted="an earlier next_page_token"
        )
    return request.page_size or DEFAULT_PAGE, int(request.page_token) if request.page_token else None
