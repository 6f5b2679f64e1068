"""Asking for a retraining: a form that the trainer itself checks as one types."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from policy_api.v1 import training_pb2
from policyd.errors import FieldViolation, InvalidArgument, PolicydError, Unauthenticated
from policyd_server.http import errors
from policyd_server.http.gateway import Gateway
from policyd_server.page import methods, rendering, session
from policyd_server.page.asking import Services
from policyd_server.page.sections.forms import reason_of, whole
from policyd_server.page.sections.frame import live, see_other, shown

NEW = "/page/retrain"
FIELDS = (
    *("policy", "env_id", "algorithm", "seed", "settings", "init_from"),
    *("promote", "alias", "min_return", "reason", "request_id"),
)
MAX_SETTINGS = 200


def routes(services: Services) -> Sequence[BaseRoute]:
    """Returns the routes of the form and of its check."""
    gateway = services.gateway

    async def ask(request: Request) -> Response:
        return _form(gateway, request, await _start(services, request))

    async def check(request: Request) -> Response:
        fields = await session.form(request)
        try:
            message = training_pb2.CheckTrainingSpecRequest(spec=spec_of(fields))
            checked = await gateway.calls.unary(request, methods.CHECK_SPEC, message)
        except Unauthenticated:
            raise
        except PolicydError as error:
            return JSONResponse({"problems": problems_of(error), "settings": []})
        return JSONResponse({"problems": {}, "settings": sorted(dict(checked.settings).items())})

    async def create(request: Request) -> Response:
        fields = await session.form(request)
        try:
            message = training_pb2.CreateTrainingJobRequest(
                spec=spec_of(fields), request_id=fields.get("request_id", ""), reason=reason_of(fields)
            )
            created = await gateway.calls.unary(request, methods.CREATE_JOB, message)
        except Unauthenticated:
            raise
        except PolicydError as error:
            return _form(gateway, request, fields, errors.status_of(error), problems_of(error))
        return see_other(f"/page/jobs/{created.job.job_id}")

    return [
        Route(NEW, shown(gateway, ask), methods=["GET"]),
        Route(NEW, shown(gateway, create), methods=["POST"]),
        Route(f"{NEW}/check", live(gateway, check), methods=["POST"]),
    ]


def _form(
    gateway: Gateway,
    request: Request,
    fields: Mapping[str, str],
    status: int = 200,
    problems: Mapping[str, str] | None = None,
) -> Response:
    values: dict[str, Any] = {
        "fields": {name: fields.get(name, "") for name in FIELDS},
        "problems": problems or {},
    }
    return rendering.respond(gateway, request, "retrain.html", status=status, section="jobs", **values)


async def _start(services: Services, request: Request) -> dict[str, str]:
    """Returns the form's first values: the settings of the version to train again."""
    fields = {"algorithm": "a2c", "seed": "0", "promote": "yes", "alias": "champion"}
    fields |= {"env_id": "CartPole-v1", "request_id": secrets.token_hex(16)}
    name = request.query_params.get("policy", "")
    if not name:
        return fields
    policy = await services.policy(request, name)
    sound = [version for version in policy.versions if not version.damage]
    fields["policy"] = policy.name
    if sound:
        metadata = sound[-1].metadata
        fields |= {"env_id": metadata.env_id, "seed": str(metadata.seed)}
        fields["algorithm"] = metadata.algorithm or fields["algorithm"]
    return fields


def spec_of(fields: Mapping[str, str]) -> training_pb2.TrainingSpec:
    """Returns the spec in a form. InvalidArgument names the field. The trainer checks the rest."""
    spec = training_pb2.TrainingSpec(
        policy=fields.get("policy", "").strip(),
        env_id=fields.get("env_id", "").strip(),
        algorithm=fields.get("algorithm", "").strip(),
        seed=whole(fields.get("seed", "").strip(), "seed", "a whole number from 0 on"),
        settings=settings_of(fields.get("settings", "")),
        init_from=fields.get("init_from", "").strip(),
    )
    spec.promotion.promote = fields.get("promote", "") == "yes"
    spec.promotion.alias = fields.get("alias", "").strip()
    if (floor := fields.get("min_return", "").strip()) != "":
        spec.promotion.min_return = _number(floor)
    return spec


def settings_of(text: str) -> dict[str, str]:
    """Returns the settings in a text with one `KEY=VALUE` per line. InvalidArgument: a bad line."""
    settings: dict[str, str] = {}
    lines = [line.strip() for line in text.splitlines()]
    for line in [line for line in lines if line][: MAX_SETTINGS + 1]:
        name, equals, value = line.partition("=")
        if not equals or not name.strip() or len(settings) == MAX_SETTINGS:
            raise InvalidArgument.of("settings", got=repr(line[:60]), wanted="KEY=VALUE, one per line")
        settings[name.strip()] = value.strip()
    return settings


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidArgument.of("min_return", got=repr(text[:40]), wanted="a number") from None


def problems_of(error: PolicydError) -> dict[str, str]:
    """Returns the problems by field of the form. Those of no field have an empty name."""
    violations: Sequence[FieldViolation] = ()
    if isinstance(error, InvalidArgument):
        violations = error.violations
    problems: dict[str, str] = {}
    for violation in violations:
        name, _, rest = violation.field.rpartition(".")[2].partition("[")
        field = name if name in FIELDS else ""
        text = f"{rest.rstrip(']')}: {violation.description}" if rest else violation.description
        problems[field] = f"{problems[field]}; {text}" if field in problems else text
    return problems or {"": error.message}
