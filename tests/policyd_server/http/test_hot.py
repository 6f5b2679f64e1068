"""Hot routes: the short way and the long way give the same, whatever the connection does."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.policyd_server.http.conftest import SECONDS, Client

ACT = "/v1/policies/cartpole:act"
BODY = json.dumps({"observations": [0, 0, 0, 0], "seed": 7}).encode()


@pytest.fixture
def raw(client: Client) -> Iterator[socket.socket]:
    """A connection on which the test writes HTTP itself."""
    host, _, port = client.host.rpartition(":")
    with socket.create_connection((host, int(port)), SECONDS) as connection:
        yield connection


def head(client: Client, path: str, length: int | None = None, *more: str, version: str = "1.1") -> bytes:
    """The header of a POST. Without a length, its body is chunked."""
    told = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = [f"POST {path} HTTP/{version}", f"host: {client.host}", told, *more]
    return "\r\n".join([*lines, "", ""]).encode()


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Status and body of the next responses."""
    found = []
    with connection.makefile("rb") as reader:
        for _ in range(count):
            status = int(reader.readline().split()[1])
            length = 0
            while (line := reader.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            found.append((status, reader.read(length)))
    return found


def test_both_ways_give_the_same(client: Client, raw: socket.socket) -> None:
    """A chunked request takes the slow path and gives the same status and body, also for errors."""
    for body in (BODY, b'{"observations": [1]}', b"nonsense"):
        raw.sendall(head(client, ACT, len(body)) + body)
        raw.sendall(head(client, ACT) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        (quick, first), (slow, second) = answers(raw, 2)
        assert quick == slow
        short, long = json.loads(first), json.loads(second)
        assert short.pop("request_id", None) != long.pop("request_id", "")
        assert short == long


def test_requests_of_one_connection_are_answered_in_order(client: Client, raw: socket.socket) -> None:
    """Fast and other requests are sent together. The responses come in the same order."""
    other = f"GET /v2/health/live HTTP/1.1\r\nhost: {client.host}\r\n\r\n".encode()
    hot = head(client, ACT, len(BODY)) + BODY
    infer = json.dumps(
        {"inputs": [{"name": "observations", "shape": [1, 4], "datatype": "FP32", "data": [0, 0, 0, 0]}]}
    ).encode()
    raw.sendall(
        hot + other + hot + head(client, "/v2/models/cartpole/infer", len(infer)) + infer + other + hot
    )
    told = [json.loads(body) for status, body in answers(raw, 6) if status == 200]
    kinds = ["version" if "version" in each else "live" if "live" in each else "model_name" for each in told]
    assert kinds == ["version", "live", "version", "model_name", "live", "version"]


@pytest.mark.parametrize("parts", [1, 7])
def test_a_body_that_comes_in_parts(client: Client, raw: socket.socket, parts: int) -> None:
    """However it is split, there is one response when it is whole."""
    whole = head(client, ACT, len(BODY)) + BODY
    for start in range(0, len(whole), parts):
        raw.sendall(whole[start : start + parts])
    assert [status for status, _ in answers(raw, 1)] == [200]


@pytest.mark.parametrize(
    ("more", "version"), [(["connection: close"], "1.1"), ([], "1.0"), (["connection: keep-alive"], "1.1")]
)
def test_the_connection_ends_when_it_should(
    client: Client, raw: socket.socket, more: list[str], version: str
) -> None:
    """The connection ends after the response, if the client wants that or speaks HTTP/1.0."""
    raw.sendall(head(client, ACT, len(BODY), *more, version=version) + BODY)
    [(status, _)] = answers(raw, 1)
    assert status == 200
    if more == ["connection: keep-alive"]:
        raw.sendall(head(client, ACT, len(BODY)) + BODY)
        assert answers(raw, 1)[0][0] == 200
    else:
        assert raw.recv(1) == b""


def test_what_surrounds_a_route_surrounds_hot_ones(client: Client) -> None:
    """Fast routes, too, have request ids, nosniff, and refuse foreign sites and hosts."""
    own = client.ask("POST", ACT, BODY, {"x-request-id": "mine-7"})
    assert (own.headers["x-request-id"], own.headers["x-content-type-options"]) == ("mine-7", "nosniff")
    assert client.ask("POST", ACT, BODY, {"origin": "https://elsewhere.example"}).status == 403
    assert client.ask("POST", ACT, BODY, {"host": "elsewhere.example"}).status == 400
    assert client.ask("POST", "/v1/policies/%63artpole:act", BODY).status == 200
    assert client.ask("POST", "/v1/policies/nobody:act", BODY).status == 404
    assert client.get(ACT).status == 400  # it is not the name of a policy
    assert client.ask("POST", f"{ACT}?seed=1", BODY).status == 200


def test_a_large_request_takes_the_long_way(client: Client) -> None:
    """The body of a large request is read in parts, and the response is complete."""
    body = {"observations": [[0.123456789012345, 0, 0, 0]] * 16_000}
    answer = client.post(ACT, body)
    assert answer.status == 200
    assert len(answer.json["actions"]) == 16_000
