"""What a stranger may send: bounded before it is parsed, refused with a reason, never a 500."""

from __future__ import annotations

import gzip
import socket
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from tests.policyd_server.http.conftest import Client, http_url
from tests.policyd_server.process import ServerProcess

ACT, INFER = "/v1/policies/cartpole:act", "/v2/models/cartpole/infer"


def _raw(client: Client, data: bytes) -> bytes:
    """The response to these bytes, until the server closes the connection."""
    host, port = client.host.split(":")
    with closing(socket.create_connection((host, int(port)), timeout=60)) as connection:
        connection.sendall(data)
        found = b""
        try:
            while part := connection.recv(65536):
                found += part
        except ConnectionResetError:
            pass
        return found


@pytest.mark.parametrize(
    ("path", "size"), [(ACT, 16 * 2**20 + 1), (INFER, 64 * 2**20 + 1), ("/v1/jobs", 2**20 + 1)]
)
def test_a_body_that_says_it_is_too_large(client: Client, path: str, size: int) -> None:
    """The announced length alone refuses the body, before a byte has arrived."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {client.host}\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    )
    assert _raw(client, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_say_how_large_it_is(client: Client) -> None:
    """Chunks are counted as they arrive."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: {client.host}\r\nConnection: close\r\n"
    answer = _raw(client, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 17)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"BODY_TOO_LARGE" in answer


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb(client: Client, coding: str) -> None:
    """A body that inflates beyond the limit is refused while it is inflated."""
    pack = gzip.compress if coding == "gzip" else zlib.compress
    answer = client.ask("POST", "/v1/jobs", pack(b" " * 64 * 2**20), {"Content-Encoding": coding})
    assert (answer.status, answer.json["reason"]) == (413, "BODY_TOO_LARGE")
    for broken in (b"nonsense", pack(b"{}" * 100)[:-4]):
        answer = client.ask("POST", "/v1/jobs", broken, {"Content-Encoding": coding})
        assert (answer.status, answer.json["fields"][0]["field"]) == (400, "body")


def test_an_unknown_coding(client: Client) -> None:
    """The error names it."""
    answer = client.ask("POST", ACT, b"", {"Content-Encoding": "br"})
    assert answer.json["fields"][0]["field"] == "content-encoding"


def test_headers_without_end(client: Client) -> None:
    """More than 12 KiB are refused, in the target as well as in the headers."""
    line = f"GET /v2 HTTP/1.1\r\nHost: {client.host}\r\n".encode()
    assert _raw(client, line + b"X: " + b"y" * 13_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    many = b"".join(b"X%d: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" % n for n in range(1000))
    assert _raw(client, line + many + b"\r\n").startswith(b"HTTP/1.1 431 ")
    assert _raw(client, b"GET /" + b"z" * 13_000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET\r\n\r\n"]
)
def test_what_is_no_http(client: Client, data: bytes) -> None:
    """The client gets 400 and the end of its connection."""
    assert _raw(client, data + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "path", ["/v1/policies/%ff", "/v1/policies/..%2f..", "/v2/models/%00/infer", "/%2e%2e/"]
)
def test_odd_paths(client: Client, path: str) -> None:
    """Odd paths are ordinary names, or no path."""
    for verb in ("GET", "POST"):
        answer = client.ask(verb, path, "{}" if verb == "POST" else None)
        assert answer.status in (400, 404, 405)
        assert answer.json["error"]


def test_other_sites(client: Client) -> None:
    """Changes for another web site, and a wrong name for this host, are refused."""
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = client.ask("POST", "/v1/jobs", {}, headers)
        assert (answer.status, answer.json["reason"]) == (403, "CROSS_SITE")
    own = client.ask("POST", ACT, {"observations": [0] * 4}, {"Origin": client.url})
    assert own.status == 200
    for host in ("evil.example", "evil.example:80", "", "[::1", "127.0.0.1.evil.example"):
        assert client.get("/v1/policies", Host=host).json["fields"][0]["field"] == "Host"
    for host in ("localhost", "127.0.0.1:1", "[::1]:80", "[::1]"):
        assert client.get("/v1/policies", Host=host).status == 200


def test_request_ids(client: Client) -> None:
    """A given id comes back and is in the error. One that must not be logged is replaced."""
    answer = client.get("/v1/policies/nope", **{"x-request-id": "mine"})
    assert answer.headers["x-request-id"] == answer.json["request_id"] == "mine"
    assert client.get("/v2", **{"x-request-id": "<b>"}).headers["x-request-id"] != "<b>"


@pytest.mark.parametrize("kind", ["takes nothing", "half a body"])
def test_a_client_that_does_nothing_does_not_hold_the_end_up(kind: str, folder: Path, tmp_path: Path) -> None:
    """The server waits for responses, but not for one that is not taken or has no request."""
    flags = ("--http", "127.0.0.1:0", "--drain-seconds", "600")
    server = ServerProcess(tmp_path, folder / "repository", *flags)
    client = Client(http_url(server))
    host, port = client.host.split(":")
    get = f"GET /openapi.json HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode()
    post = f"POST /v1/jobs HTTP/1.1\r\nHost: {client.host}\r\nContent-Length: 9\r\n\r\n".encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect((host, int(port)))
        connection.sendall(get * 400 if kind == "takes nothing" else get + post)
        assert connection.recv(1)
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (ACT, r'{"\ud800": 1}'),
        (INFER, r'{"inputs": [], "parameters": {"\ud800": 1}}'),
        ("/v2/repository/models/cartpole/load", r'{"parameters": {"\udfff": "x"}}'),
        ("/v2/repository/models/cartpole/load", r'{"parameters": {"x": "\udfff"}}'),
        ("/v1/jobs:check", r'{"spec": {"settings": {"\ud800": "1"}}}'),
        ("/v1/jobs:check", r'{"spec": {"settings": {"x": "\ud800"}}}'),
    ],
)
def test_half_of_a_surrogate_pair_is_no_text(client: Client, path: str, text: str) -> None:
    """JSON can express it, in names as in values; UTF-8 and protobuf cannot."""
    answer = client.ask("POST", path, text)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_ARGUMENT"), answer.body
    whole = client.ask("POST", path, text.replace("ud800", "ud83d\\ude00").replace("udfff", "ud83d\\ude00"))
    assert "surrogate" not in whole.body.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/page/versions/cartpole/{}",
        "/page/versions/cartpole/{}/promote",
        "/page/files/cartpole/{}/model.onnx",
        "/v1/policies/cartpole/versions/{}/files/model.onnx",
    ],
)
@pytest.mark.parametrize("digits", [18, 20, 5000])
def test_a_version_with_many_digits(client: Client, path: str, digits: int) -> None:
    """No version has such a number, and protobuf and Python cannot hold the longer ones."""
    answer = client.get(path.format("9" * digits))
    # the form of a promotion does not look whether there is such a version
    there = (200,) if digits == 18 and path.endswith("promote") else (400, 404)
    assert answer.status in there, answer.body
