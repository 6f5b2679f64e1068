"""Requests whose head has come before: they get what a first request gets."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Scope

from policyd_server.http.open_inference.inferring import InferEndpoint
from policyd_server.http.quick import MAX_KNOWN, KnownHeaders
from tests.policyd_server.http.conftest import SECONDS, Client
from tests.policyd_server.http.test_hot import ACT, answers

INFER = "/v2/models/cartpole/infer"
TENSOR = {"name": "observations", "datatype": "FP32", "shape": [1, 4]}
ENDPOINT: Any = InferEndpoint.__new__(InferEndpoint)  # only a name: nothing here calls it


def posted(path: str, body: bytes, *more: str) -> bytes:
    """A complete request."""
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "", ""]).encode() + body


def scope(**headers: str) -> Scope:
    """What a parser returns for a request with these headers."""
    return {
        "type": "http",
        "path_params": {"model": "cartpole"},
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }


def _binary(observation: bytes) -> tuple[str, bytes, str]:
    tensor = {**TENSOR, "parameters": {"binary_data_size": len(observation)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"seed": 7, "binary_data_output": True}}).encode()
    return INFER, head + observation, f"Inference-Header-Content-Length: {len(head)}"


# Path, body, more header lines. A seed makes responses equal each time.
CASES: dict[str, tuple[Any, ...]] = {
    "act": (ACT, b'{"observations": [0.5, 0, -1.25, 2e0], "seed": 7}'),
    "rows": (ACT, b'{"observations": [[1, 2, 3, 4], [4, 3, 2, 1.5]], "seed": "7", "deterministic": true}'),
    "a mask": (ACT, b'{"observations": [0, 0, 0, 0], "action_mask": [true, true], "seed": 7}'),
    "infer": (
        INFER,
        json.dumps({"inputs": [{**TENSOR, "data": [[1, 0, 0, 0.25]]}], "parameters": {"seed": 7}}).encode(),
    ),
    "binary": _binary(bytes(16)),
    "too short": _binary(bytes(15)),
    "no numbers": (ACT, b'{"observations": [0, null, 0, 0]}'),
    "ragged": (ACT, b'{"observations": [[1, 2], [3]]}'),
    "infinite": (ACT, b'{"observations": [1e39, 0, 0, 0]}'),
    "a huge whole number": (ACT, b'{"observations": [100000000000000000000000000000, 0, 0, 0]}'),
    "no JSON": (ACT, b"nonsense"),
    "no such policy": ("/v1/policies/nobody:act", b'{"observations": [0, 0, 0, 0]}'),
    "another site": (ACT, b'{"observations": [0, 0, 0, 0]}', "Origin: https://elsewhere.example"),
    "compressed": (
        ACT,
        json.dumps({"observations": [[0.5] * 4] * 40, "seed": 7}).encode(),
        "Accept-Encoding: gzip",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_comes_again_is_answered_the_same(client: Client, name: str) -> None:
    """A repeated request gets the same status and body, right or wrong, on one connection."""
    path, body, *more = CASES[name]
    host, _, port = client.host.rpartition(":")
    with socket.create_connection((host, int(port)), SECONDS) as connection:
        told = []
        for _ in range(4):
            connection.sendall(posted(path, body, *more))
            told += answers(connection, 1)
    first, *others = [(status, _without_id(status, content)) for status, content in told]
    assert all(other == first for other in others)


def _without_id(status: int, content: bytes) -> Any:
    """The whole of a success. An error without the id of its request."""
    return content if status == 200 else {**json.loads(content), "request_id": ""}


def test_a_request_id_of_its_own(client: Client) -> None:
    """Each response has an id, and never that of the response before."""
    connection = client.connection()
    seen = set()
    for _ in range(4):
        connection.request("POST", ACT, b'{"observations": [0, 0, 0, 0]}')
        response = connection.getresponse()
        response.read()
        seen.add(response.getheader("x-request-id"))
        assert response.getheader("x-content-type-options") == "nosniff"
    connection.close()
    assert len(seen) == 4


def test_a_head_is_known_whatever_the_length() -> None:
    """The length of the body is not part of the known header. Everything else is."""
    heads = KnownHeaders()
    heads.learn(posted(INFER, b"12"), ENDPOINT, scope(host="127.0.0.1"))
    found = heads.find(posted(INFER, b"123"))
    assert found is not None
    assert found[1] == b"123"
    assert found[0].names == {"model": "cartpole"}
    assert heads.find(posted(f"{INFER}?x", b"12")) is None
    assert heads.find(posted(INFER, b"12", "Cookie: a=b")) is None


@pytest.mark.parametrize(
    "changed",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data + data,
        lambda data: data[:20],
        lambda data: data.replace(b"Content-Length: 2", b"Content-Length: x"),
        lambda data: data.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 2"),
    ],
    ids=["a part", "more", "two", "a part of the head", "no length", "two lengths"],
)
def test_what_is_not_one_whole_request_is_parsed(changed: Callable[[bytes], bytes]) -> None:
    """The header may be known, but only the parser knows where the request ends."""
    heads, data = KnownHeaders(), posted(INFER, b"12")
    heads.learn(data, ENDPOINT, scope())
    assert heads.find(data) is not None
    assert heads.find(changed(data)) is None


@pytest.mark.parametrize("name", ["x_request_id", "traceparent", "content_encoding", "expect"])
def test_heads_that_are_not_remembered(name: str) -> None:
    """Headers that differ each time, or that change how a body is read, are not remembered."""
    heads, data = KnownHeaders(), posted(INFER, b"12")
    heads.learn(data, ENDPOINT, scope(**{name: "gzip"}))
    assert heads.find(data) is None


def test_heads_have_a_bound() -> None:
    """Clients that send a new header each time cost a bounded amount of memory."""
    heads = KnownHeaders()
    for number in range(3 * MAX_KNOWN):
        heads.learn(posted(INFER, b"", f"X-Number: {number}"), ENDPOINT, scope())
    assert len(heads._known) <= MAX_KNOWN
    heads.learn(posted(INFER, b"", "X-Long: " + "x" * 4000), ENDPOINT, scope())
    assert heads.find(posted(INFER, b"", "X-Long: " + "x" * 4000)) is None
