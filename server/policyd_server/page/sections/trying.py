"""Try it: one state, what several versions would do in it, an action with its receipt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from policy_api.v1.policy_pb2 import ActRequest, ActResponse, FloatArray, Policy, PolicyVersion
from policyd.errors import FailedPrecondition, InvalidArgument, NotFound
from policyd.receipts import Receipt, check_actions, check_probabilities
from policyd_server.page import rendering, session
from policyd_server.page.asking import Services
from policyd_server.page.sections.forms import whole
from policyd_server.page.sections.frame import live, see_other, shown
from policyd_server.page.views import trying

TOLERANCE = 1e-6  # of a probability; another batch size may change the last bits
MOST_VERSIONS = 4  # compared side by side


def routes(services: Services) -> Sequence[BaseRoute]:
    """Returns the routes of the page, and of the answers that its script shows."""
    gateway = services.gateway

    async def first(request: Request) -> Response:
        policies = await services.policies(request)
        if policies:
            return see_other(f"/page/try/{policies[0].name}")
        return rendering.respond(gateway, request, "nothing.html", section="try")

    async def page(request: Request) -> Response:
        policy = await services.policy(request, request.path_params["policy"])
        values: dict[str, Any] = {
            "policies": [each.name for each in await services.policies(request)],
            **await _begin(services, request, policy),
        }
        return rendering.respond(gateway, request, "try.html", section="try", **values)

    async def ask(request: Request) -> Response:
        fields = await session.form(request)
        policy = await services.policy(request, request.path_params["policy"])
        answer = await _answer(services, request, policy, fields)
        field = rendering.form_field(request)
        html = rendering.fragment("try_answer.html", form_token=field, **answer)
        return HTMLResponse(html, headers=rendering.HEADERS)

    async def verify(request: Request) -> Response:
        fields = await session.form(request)
        policy = await services.policy(request, request.path_params["policy"])
        checks = await _verified(services, request, policy, fields.get("receipt", ""))
        html = rendering.fragment("try_verified.html", checks=checks)
        return HTMLResponse(html, headers=rendering.HEADERS)

    return [
        Route("/page/try", shown(gateway, first)),
        Route("/page/try/{policy}", shown(gateway, page), methods=["GET"]),
        Route("/page/try/{policy}/act", live(gateway, ask), methods=["POST"]),
        Route("/page/try/{policy}/verify", live(gateway, verify), methods=["POST"]),
    ]


async def _begin(services: Services, request: Request, policy: Policy) -> dict[str, Any]:
    """Returns the values of the page when it opens: the middle of what training saw."""
    serving = _serving(policy)
    version = _version(policy, serving.get("champion", policy.versions[-1].version if policy.versions else 0))
    sliders = trying.sliders(version.metadata)
    start = [slider.value for slider in sliders] or [0.0] * trying.size(version.metadata)
    others = [v.version for v in policy.versions if not v.damage and v.version != version.version]
    fields = {"observation": json.dumps(start), "seed": "0", "version": str(version.version)}
    chosen = [version.version, *others[-1:]]
    return {
        "policy": policy.name,
        "sliders": sliders,
        "observation": fields["observation"],
        "options": [(v.version, trying.aliases_of(serving, v.version)) for v in reversed(policy.versions)],
        "chosen": chosen,
        **await _answer(services, request, policy, {**fields, **{f"with_{n}": "on" for n in chosen}}),
    }


async def _answer(
    services: Services, request: Request, policy: Policy, fields: Mapping[str, str]
) -> dict[str, Any]:
    """Returns what the chosen versions compute for the state, or what is wrong."""
    try:
        return await _asked(services, request, policy, fields)
    except (InvalidArgument, NotFound, FailedPrecondition) as error:
        return {"problem": error.message, "policy": policy.name}


async def _asked(
    services: Services, request: Request, policy: Policy, fields: Mapping[str, str]
) -> dict[str, Any]:
    serving = _serving(policy)
    numbers = _numbers(fields, policy)
    first = _version(policy, numbers[0])
    row = trying.observation(fields.get("observation", ""), first.metadata)
    deterministic = fields.get("deterministic") == "on"
    responses: list[ActResponse] = []
    for number in numbers:
        asked = ActRequest(
            policy=policy.name,
            version=number,
            observations=FloatArray(raw=row.astype("<f4").tobytes()),
            deterministic=deterministic,
        )
        if not deterministic:
            asked.seed = whole(fields.get("seed", "0"), "seed", "a whole number from 0 on", below=2**64)
        responses.append(await services.act(request, asked))
    receipt = trying.receipt(responses[0], row, deterministic=deterministic)
    return {
        "policy": policy.name,
        "problem": "",
        "labels": trying.labels(first.metadata),
        "columns": [trying.column(r, trying.aliases_of(serving, r.version)) for r in responses],
        "action": json.dumps(trying.action(responses[0])),
        "seed": responses[0].seed,
        "deterministic": deterministic,
        "receipt": receipt.to_json(),
    }


async def _verified(services: Services, request: Request, policy: Policy, text: str) -> list[Any]:
    """Recomputes a receipt, as `policyctl verify` does."""
    receipt = Receipt.from_json(text)
    if receipt.policy != policy.name or len(receipt.rows) != 1:
        raise InvalidArgument.of("receipt", got="another receipt", wanted=f"one row of {policy.name}")
    version = _version(policy, receipt.version)
    row = trying.observation(json.dumps(receipt.rows[0].observation), version.metadata)
    asked = ActRequest(
        policy=policy.name,
        version=receipt.version,
        observations=FloatArray(raw=row.astype("<f4").tobytes()),
        deterministic=True,
    )
    answered = await services.act(request, asked)
    computed = trying.floats(answered.action_probs) or [
        *trying.floats(answered.action_mean),
        *trying.floats(answered.action_std),
    ]
    probabilities = check_probabilities(receipt, answered.digest, [computed], TOLERANCE)
    return [check_actions(receipt, version.metadata), *probabilities]


def _serving(policy: Policy) -> dict[str, int]:
    return {alias.name: alias.serving_version or alias.version for alias in policy.aliases}


def _numbers(fields: Mapping[str, str], policy: Policy) -> list[int]:
    """Returns the versions to compare, the chosen one first."""
    ticked = [name.removeprefix("with_") for name in fields if name.startswith("with_")]
    texts = [fields.get("version", ""), *ticked]
    numbers = [int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) < 16]
    there = {version.version for version in policy.versions}
    known = [number for number in dict.fromkeys(numbers) if number in there]
    if not known:
        raise InvalidArgument.of("version", got=repr(texts[0][:40]), wanted=f"a version of {policy.name}")
    return known[:MOST_VERSIONS]


def _version(policy: Policy, number: int) -> PolicyVersion:
    for version in policy.versions:
        if version.version == number:
            if version.damage:
                raise FailedPrecondition(f"version {number} of {policy.name} is damaged: {version.damage}")
            return version
    raise NotFound(f"{policy.name} has no version {number}", reason="NO_SUCH_VERSION")
