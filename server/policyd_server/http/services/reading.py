"""What a request says, as the message that its operation declares."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from policyd.errors import InvalidArgument
from policyd_server.http import bodies, fields
from policyd_server.http.messages import fill
from policyd_server.http.services.operations import Operation

MAX_BODY_BYTES = 1024 * 1024  # largest body without observations


async def message_of(request: Request, op: Operation) -> Any:
    """Returns the request message from path, query and body. InvalidArgument: a field is wrong."""
    message = op.method.request()
    if op.body:
        body = await bodies.read(request, MAX_BODY_BYTES)
        given = bodies.json_of(body) if body.strip() else {}
        fields.check_known(given, op.body, "")
        fill(message, given)
    fields.check_known(dict(request.query_params), op.query, "")
    fill(message, {name: _scalar(message, name, text) for name, text in request.query_params.items()})
    for name, text in request.path_params.items():
        repeated = message.DESCRIPTOR.fields_by_name[name].is_repeated
        fill(message, {name: [text] if repeated else text})
    return message


def _scalar(message: Any, name: str, text: str) -> Any:
    """Returns a value of the query. For a boolean it is `true` or `false`."""
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.cpp_type != field.CPPTYPE_BOOL:
        return text
    if text not in ("true", "false"):
        raise InvalidArgument.of(name, got=repr(text), wanted="true or false")
    return text == "true"
