"""The OpenAPI document: valid, about every route, and true of what the server takes and gives."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from policyd_server.http.open_inference import health
from policyd_server.http.open_inference import routes as open_inference
from policyd_server.http.services.contract import of_file
from policyd_server.http.services.operations import OPERATIONS
from tests.policyd_server.http.conftest import Client

INFER = {
    "id": "7",
    "inputs": [{"name": "observations", "shape": [1, 4], "datatype": "FP32", "data": [0, 0, 0, 0]}],
    "outputs": [{"name": "actions"}],
    "parameters": {"seed": 7},
}


@pytest.fixture(scope="module")
def document(client: Client) -> Any:
    return client.get("/v1/openapi.json").json


def test_it_is_valid(document: Any) -> None:
    """The document is valid by the specification of OpenAPI 3.1."""
    assert document["openapi"].startswith("3.1")
    validate(document)  # raises if it is not valid


def test_it_has_every_operation_with_its_comment(document: Any) -> None:
    """Each path has its verb, and what the .proto files say about methods and fields."""
    for op in OPERATIONS:
        told = document["paths"][op.path][op.verb.lower()]
        assert told["operationId"] == op.name
        assert told["description"], op.path
    act = document["paths"]["/v1/policies/{policy}:act"]["post"]
    assert (
        "Seed of the sampling"
        in act["requestBody"]["content"]["application/json"]["schema"]["properties"]["seed"]["description"]
    )
    fields = [
        (name, field)
        for name, schema in document["components"]["schemas"].items()
        for field in schema["properties"]
    ]
    assert len(fields) > 200


def test_answers_fit_their_schemas(client: Client, document: Any) -> None:
    """Responses and errors of the server are as in the document."""
    asked = {
        "/v1/policies": client.get("/v1/policies").json,
        "/v1/policies/{policy}": client.get("/v1/policies/cartpole").json,
        "/v1/server": client.get("/v1/server").json,
    }
    for path, answer in asked.items():
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer, {**schema, "components": document["components"]})
    act = document["paths"]["/v1/policies/{policy}:act"]["post"]["responses"]["200"]["content"]
    answer = client.post("/v1/policies/cartpole:act", {"observations": [0, 0, 0, 0]}).json
    jsonschema.validate(answer, {**act["application/json"]["schema"], "components": document["components"]})
    refused = client.get("/v1/policies/nope")
    assert refused.status == 404
    jsonschema.validate(refused.json, document["components"]["schemas"]["Error"])


def test_it_describes_every_path_of_the_open_inference_protocol(document: Any) -> None:
    """All paths are there with their verbs, without the extensions that are refused."""
    gateway: Any = None  # no method is called
    routes: list[Any] = [*health.routes(gateway), *open_inference.routes(gateway)]
    served = {
        (route.path, verb)
        for route in routes
        for verb in route.methods - {"HEAD"}
        if not route.path.removeprefix("/v2/").startswith(open_inference.ABSENT)
    }
    described = {
        (path, verb.upper())
        for path, verbs in document["paths"].items()
        for verb in verbs
        if path.startswith("/v2")
    }
    assert described == served
    assert len(described) == 17


@pytest.mark.parametrize(
    ("verb", "path", "asked", "body"),
    [
        ("get", "/v2", "/v2", None),
        ("get", "/v2/health/live", "/v2/health/live", None),
        ("get", "/v2/health/ready", "/v2/health/ready", None),
        ("get", "/v2/models/stats", "/v2/models/stats", None),
        ("get", "/v2/models/{model}", "/v2/models/cartpole", None),
        ("get", "/v2/models/{model}/ready", "/v2/models/cartpole/ready", None),
        ("get", "/v2/models/{model}/config", "/v2/models/cartpole/config", None),
        ("get", "/v2/models/{model}/stats", "/v2/models/cartpole/stats", None),
        ("post", "/v2/models/{model}/infer", "/v2/models/cartpole/infer", INFER),
        ("post", "/v2/repository/index", "/v2/repository/index", {"ready": False}),
    ],
)
def test_answers_of_the_protocol_fit_their_schemas(
    client: Client, document: Any, verb: str, path: str, asked: str, body: Any
) -> None:
    """Requests and responses are as in the document."""
    told = document["paths"][path][verb]
    components = {"components": document["components"]}
    if body is not None:
        taken = told["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.validate(body, {**taken, **components})
    answer = client.ask(verb.upper(), asked, body)
    assert answer.status == 200
    schema = told["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json, {**schema, **components})


def test_the_page_needs_no_other_host(client: Client) -> None:
    """Every link of the page stays on this server and has a target. There is no script."""
    answer = client.get("/v1/docs")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    seen = _Seen()
    seen.feed(answer.body.decode())
    assert "script" not in seen.tags
    assert {link for link in seen.links if not link.startswith("#")} == {"/v1/openapi.json"}
    assert {link[1:] for link in seen.links if link.startswith("#")} <= seen.ids
    assert {op.name for op in OPERATIONS} <= seen.ids
    assert {"Inference.Infer", "InferenceRequest"} <= seen.ids


class _Seen(HTMLParser):
    """The tags, ids and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            if name in ("href", "src"):
                self.links.add(value or "")


def test_comments_are_found_by_their_full_names() -> None:
    """Comments of messages, fields, oneofs, enum values and methods are found.

    A blank line does not end a comment.
    """
    text = """
    // A thing.
    message Thing {
      // Its name,
      // in two lines.
      string name = 1;
      oneof kind {
        // A number.
        map<string, int64> number = 2;
      }
      enum State {
        // It runs.
        RUNNING = 1;
      }
      int64 bare = 3;
    }
    service Things {
      // Makes one.
      rpc Make(Thing) returns (Thing);
    }
    """
    assert of_file(text, "p") == {
        "p.Thing": "A thing.",
        "p.Thing.name": "Its name, in two lines.",
        "p.Thing.number": "A number.",
        "p.Thing.State.RUNNING": "It runs.",
        "p.Things.Make": "Makes one.",
    }
