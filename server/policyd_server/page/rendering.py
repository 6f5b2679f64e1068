"""Templates to responses, with headers that keep a browser from running anything else."""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from policyd.quoting import readable
from policyd.version import __version__
from policyd_server.http.gateway import Gateway
from policyd_server.page import session
from policyd_server.page.charts.bars import bar
from policyd_server.page.methods import (
    CANCEL_JOB,
    CREATE_JOB,
    GET_EXPERIENCE,
    ROLLBACK_ALIAS,
    SET_ALIAS,
    SET_EXPERIENCE,
    SET_SHADOW,
    START_CANARY,
)
from policyd_server.page.views import words

# Scripts and styles are our own files. Inline ones, other hosts and frames around the page are
# forbidden.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",  # without it, a browser sends forms with the origin "null"
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
SECTIONS = (
    ("now", "Now"),
    ("versions", "Versions"),
    ("jobs", "Jobs"),
    ("try", "Try it"),
    ("experience", "Experience"),
)
_ROLES = {
    "set_alias": SET_ALIAS,
    "roll_back": ROLLBACK_ALIAS,
    "retrain": CREATE_JOB,
    "cancel": CANCEL_JOB,
    "see_experience": GET_EXPERIENCE,
    "set_experience": SET_EXPERIENCE,
    "start_canary": START_CANARY,
    "set_shadow": SET_SHADOW,
}

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("policyd_server.page"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: readable(value) if type(value) is str else value,  # Markup is our own HTML
)
_ENVIRONMENT.globals.update(words=words, bar=bar, sections=SECTIONS, program_version=__version__)


def fragment(name: str, **values: Any) -> str:
    """Renders a part of a page."""
    return _ENVIRONMENT.get_template(name).render(**values)


def respond(
    gateway: Gateway, request: Request, name: str, *, status: int = 200, live: str = "", **values: Any
) -> HTMLResponse:
    """Renders a whole page. `live`: the path of its event stream; empty: it has none."""
    content = fragment(
        name,
        may=abilities(gateway, request),
        caller=None if gateway.access.is_anonymous(request) else gateway.access.caller(request),
        form_token=form_field(request),
        live=live,
        **values,
    )
    response = HTMLResponse(content, status, HEADERS)
    session.set_form_token(request, response)
    return response


def abilities(gateway: Gateway, request: Request) -> dict[str, bool]:
    """Returns what the caller's roles allow, by the names that templates use."""
    return {name: gateway.access.may(request, method.path) for name, method in _ROLES.items()}


def form_field(request: Request) -> Markup:
    """Returns the hidden field that each form of the page needs."""
    form = Markup('<input type="hidden" name="{}" value="{}">')
    return form.format(session.FIELD, session.form_token(request))
