"""The OpenAPI document: /v1 from the operations and the .proto files, and /v2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from policyd.version import __version__
from policyd_server.http.messages import Descriptor, schema_of
from policyd_server.http.open_inference import described
from policyd_server.http.services import contract
from policyd_server.http.services.operations import OPERATIONS, Operation

_REFERENCE = "#/components/schemas/"
_LIST = {"type": "array", "items": {}}
_NUMBERS = {"description": "Numbers, flat or nested: one list a row.", **_LIST}
ERROR: Mapping[str, Any] = {
    "type": "object",
    "required": ["error", "code", "reason"],
    "properties": {
        "error": {"type": "string", "description": "What was wrong, for people."},
        "code": {"type": "string", "description": "The gRPC status."},
        "reason": {"type": "string", "description": "A stable identifier, for programs."},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "description"],
                "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
            },
        },
        "retry_after": {"type": "number", "description": "Seconds after which it may succeed."},
        "request_id": {"type": "string", "description": "As in the server's log."},
    },
}
_MEDIA = {"events": "text/event-stream", "text": "text/plain", "file": "application/octet-stream"}


def document() -> dict[str, Any]:
    """Returns the whole document."""
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for op in OPERATIONS:
        paths.setdefault(op.path, {})[op.verb.lower()] = _described(op, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "policyd",
            "version": __version__,
            "description": "Asks policies for actions, chooses their versions, and trains new ones. The same "
            "services as gRPC, by the same names. Below /v2 is the Open Inference Protocol.",
        },
        "paths": {**paths, **described.paths()},
        "components": {
            "schemas": {"Error": ERROR, **schemas.made(), **described.SCHEMAS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


class _Schemas:
    """The schemas of the messages that are referred to, and of those that these refer to."""

    def __init__(self) -> None:
        self.comments = contract.comments()
        self._wanted: dict[str, Descriptor] = {}

    def reference(self, descriptor: Descriptor) -> str:
        """Returns the reference to a message's schema."""
        name: str = descriptor.name
        self._wanted[name] = descriptor
        return _REFERENCE + name

    def of(self, descriptor: Descriptor, names: tuple[str, ...] | None = None) -> dict[str, Any]:
        """Returns the schema of a message, or of some of its fields."""
        made = schema_of(descriptor, self.reference)
        for name, schema in made["properties"].items():
            if comment := self.comments.get(f"{descriptor.full_name}.{name}"):
                schema["description"] = comment
        if comment := self.comments.get(descriptor.full_name):
            made["description"] = comment
        if names is not None:
            made["properties"] = {name: made["properties"][name] for name in names}
        return made

    def made(self) -> dict[str, Any]:
        """Returns all schemas, by name."""
        made: dict[str, Any] = {}
        while missing := self._wanted.keys() - made.keys():
            for name in sorted(missing):
                made[name] = self.of(self._wanted[name])
        return dict(sorted(made.items()))


def _described(op: Operation, schemas: _Schemas) -> dict[str, Any]:
    service, _, method = op.method.path[1:].partition("/")
    told: dict[str, Any] = {
        "operationId": op.name,
        "tags": [op.tag],
        "summary": op.summary,
        "description": schemas.comments.get(f"{service}.{method}", ""),
        "parameters": _parameters(op, schemas),
        "responses": {
            "200": {"description": "It succeeded.", "content": _content(op, schemas)},
            "default": {
                "description": "It failed; the status follows the code.",
                "content": {"application/json": {"schema": {"$ref": f"{_REFERENCE}Error"}}},
            },
        },
    }
    if op.body:
        schema = schemas.of(op.method.request.DESCRIPTOR, op.body)
        schema.pop("description", None)
        if op.kind == "act":
            schema["properties"] |= {"observations": _NUMBERS, "action_mask": _NUMBERS}
        told["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return told


def _parameters(op: Operation, schemas: _Schemas) -> list[dict[str, Any]]:
    properties = schemas.of(op.method.request.DESCRIPTOR)["properties"]
    found = []
    for name in re.findall(r"\{(\w+)\}", op.path):
        schema = properties[name].get("items", properties[name])
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    found += [{"name": name, "in": "query", "schema": properties[name]} for name in op.query]
    return found


def _content(op: Operation, schemas: _Schemas) -> dict[str, Any]:
    """Returns the response's media type and schema."""
    descriptor = op.method.response.DESCRIPTOR
    if op.kind in _MEDIA:
        schema: dict[str, Any] = {"type": "string"}
        if op.kind == "events":
            inner = descriptor.fields_by_name[op.answer].message_type
            schema["description"] = (
                f"Events `{op.answer}` with {schemas.reference(inner)[len(_REFERENCE) :]}."
            )
        return {_MEDIA[op.kind]: {"schema": schema}}
    if op.answer:
        inner = descriptor.fields_by_name[op.answer].message_type
        return {"application/json": {"schema": {"$ref": schemas.reference(inner)}}}
    if op.kind == "act":
        schema = schemas.of(descriptor)
        for field in descriptor.fields:
            if field.message_type is not None:
                described = schema["properties"][field.name].get("description", "")
                schema["properties"][field.name] = {**_LIST, "description": described}
        return {"application/json": {"schema": schema}}
    return {"application/json": {"schema": {"$ref": schemas.reference(descriptor)}}}
