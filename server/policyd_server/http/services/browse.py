"""The document as a page: rendered here, without scripts and without any other host."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from starlette.responses import HTMLResponse, Response

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
details { border: 1px solid #8886; border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem }
summary { cursor: pointer; overflow-wrap: anywhere } code, pre { font: .9rem ui-monospace, monospace }
pre { overflow-x: auto; background: #8882; padding: .6rem; border-radius: 6px }
.verb { display: inline-block; min-width: 3.5rem; font-weight: 700 }
.more { opacity: .8 } dt { font-weight: 600 } dd { margin: 0 0 .4rem 1rem }
"""


def page(document: dict[str, Any]) -> Response:
    """Returns the page of an OpenAPI document."""
    info = document["info"]
    parts = [f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>", _text(info["description"])]
    parts.append('<p><a href="/v1/openapi.json">The OpenAPI document as JSON</a></p><h2>Paths</h2>')
    for path, verbs in document["paths"].items():
        parts += [_operation(verb, path, told) for verb, told in verbs.items()]
    parts.append("<h2>Messages</h2>")
    parts += [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    title = f"<title>{escape(info['title'])}: HTTP</title>"
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{viewport}{title}<style>{_STYLE}</style>'
    body = f"<main>{''.join(parts)}</main>"
    html = f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'
    return HTMLResponse(html, 200, _HEADERS)


def _operation(verb: str, path: str, told: dict[str, Any]) -> str:
    inside = [_text(told["description"])]
    if told["parameters"]:
        inside.append(f"<h4>Parameters</h4>{_fields({p['name']: p['schema'] for p in told['parameters']})}")
    if body := told.get("requestBody"):
        for kind, content in body["content"].items():
            inside.append(f"<h4>Body ({escape(kind)})</h4>{_shown(content['schema'])}")
    for kind, content in told["responses"]["200"]["content"].items():
        inside.append(f"<h4>Answer ({escape(kind)})</h4>{_shown(content['schema'])}")
    verb = f'<span class="verb">{escape(verb.upper())}</span>'
    head = f"{verb} <code>{escape(path)}</code> {escape(told['summary'])}"
    return f'<details id="{escape(told["operationId"])}"><summary>{head}</summary>{"".join(inside)}</details>'


def _schema(name: str, schema: dict[str, Any]) -> str:
    inside = _text(schema.get("description", "")) + _fields(schema["properties"])
    return f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{inside}</details>'


def _fields(properties: dict[str, Any]) -> str:
    rows = [
        f"<dt><code>{escape(name)}</code> {_kind(schema)}</dt><dd>{_text(schema.get('description', ''))}</dd>"
        for name, schema in properties.items()
    ]
    return f"<dl>{''.join(rows)}</dl>" if rows else "<p>No fields.</p>"


def _shown(schema: dict[str, Any]) -> str:
    if "properties" in schema:
        return _fields(schema["properties"])
    return f"<p>{_kind(schema)}</p>{_text(schema.get('description', ''))}"


def _kind(schema: dict[str, Any]) -> str:
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if schema.get("type") == "array" and schema["items"]:
        return f"list of {_kind(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    if "enum" in schema:
        return f"one of <code>{escape(json.dumps(schema['enum']))}</code>"
    kind = schema.get("type", "number")
    return f'<span class="more">{escape(" or ".join(kind) if isinstance(kind, list) else kind)}</span>'


def _text(text: str) -> str:
    return "".join(f"<p>{escape(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)
