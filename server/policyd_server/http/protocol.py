"""uvicorn's HTTP/1.1 on httptools, with bounds on what a connection costs before its request."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from policyd_server.http.ending import EndingProtocol
from policyd_server.http.hot import ENDINGS, MAX_BODY_BYTES, HotRequest, HotRoutes

MAX_HEAD_BYTES = 12 * 1024  # of target and headers; they have to fit into gRPC's metadata too
HEAD_SECONDS = 10.0  # from the connection, or a request's first byte, to the end of its headers
STALL_SECONDS = 30.0  # for the client to read some of the waiting bytes


class BoundedProtocol(EndingProtocol):
    """One connection.

    It gives the routes the client's certificate, a way to cut the connection off, and whether the
    client takes anything. It answers small requests of hot routes itself.
    """

    hot: HotRoutes

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0  # bytes of the headers that are being read
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn has the same signature
        """Notes the client's address and certificate."""
        super().connection_made(transport)
        self.app_state = {
            **self.app_state,
            "common_name": _common_name(transport.get_extra_info("peercert")),
            "abort": transport.abort,
            "takes_nothing": lambda: self.flow.write_paused,
        }
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the timers."""
        self._stop_timer()
        self._stop_stall()
        request: Any = self.cycle
        if isinstance(request, HotRequest) and request.more_body:  # the rest will not come
            request.release()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Called when more waits for the client than the limit: writers have to wait."""
        super().pause_writing()
        self._stop_stall()
        self._stall_timer = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Called when the client has read enough."""
        self._stop_stall()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """Called when a request begins."""
        super().on_message_begin()
        self._head_bytes = 0
        self._await_headers()

    def on_url(self, url: bytes) -> None:
        """Takes a part of the target."""
        if self._fits(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes one header, or a trailer after the body."""
        if self._fits(len(name) + len(value)):
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called when the request's headers are complete."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        request = self._hot_request()
        if request is None:
            super().on_headers_complete()
            return
        self.cycle = request  # type: ignore[assignment]  # as much of it as the protocol asks for
        self._head_timer = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        if isinstance(self.cycle, HotRequest):
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Called when the request is complete."""
        super().on_message_complete()
        request: Any = self.cycle
        if isinstance(request, HotRequest) and not request.response_complete:
            self._stop_timer()
            task = self.loop.create_task(self._answer(request, self.scope))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the client, unless the connection is being cut off."""
        if self.transport.is_closing():
            return
        super().data_received(data)

    def _hot_request(self) -> HotRequest | None:
        """Returns the request if it is hot and small, and no earlier one is unanswered."""
        if not self.url.endswith(ENDINGS) or not self.url.isascii() or self.parser.should_upgrade():
            return None
        if self.parser.get_method() != b"POST" or self.expect_100_continue or self._is_busy():
            return None
        length = dict(self.headers).get(b"content-length", b"")
        if not length.isdigit() or len(length) > len(str(MAX_BODY_BYTES)) or int(length) > MAX_BODY_BYTES:
            return None
        path = unquote(self.url.decode())
        if not path.startswith("/") or (found := self.hot.find(path)) is None:
            return None
        scope: Any = self.scope
        scope.update(method="POST", path=path, query_string=b"", path_params=found[1])
        if (share := self.hot.share(scope, int(length))) is None:
            return None  # the long way says why
        version = self.parser.get_http_version()
        request = HotRequest(found[0], keep_alive=version != "1.0" and self.parser.should_keep_alive())
        request.share = share
        return request

    def _receives(self) -> bool:
        """Whether a request has begun and is incomplete."""
        return self._head_timer is not None or super()._receives()

    def _is_busy(self) -> bool:
        """Whether a request is being answered, or too many requests are under way."""
        before: Any = self.cycle  # None at first, although uvicorn declares it otherwise
        if before is not None and not before.response_complete:
            return True
        most = max(len(self.connections), len(self.tasks))
        return self.limit_concurrency is not None and most >= self.limit_concurrency

    async def _answer(self, request: HotRequest, scope: Any) -> None:
        assert request.route is not None
        try:
            response = await self.hot.answer(request.route, scope, bytes(request.body))
        finally:
            request.release()
        await self.flow.drain()  # a client that reads nothing gets no more
        self._write(request, response)

    def _write(self, request: HotRequest, response: Response) -> None:
        """Sends a complete response."""
        if self.transport.is_closing():
            return
        head = [STATUS_LINE[response.status_code]]
        for name, value in (*self.server_state.default_headers, *response.raw_headers):
            head += name, b": ", value, b"\r\n"
        if not request.keep_alive:
            head.append(b"connection: close\r\n")
        self.transport.write(b"".join([*head, b"\r\n", response.body]))
        request.response_complete = True
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _fits(self, size: int) -> bool:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            body = b'{"error":"the headers are larger than this server takes","code":"RESOURCE_EXHAUSTED",'
            body += b'"reason":"HEADERS_TOO_LARGE"}'
            head = (
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(b"HTTP/1.1 431 \r\n" + head.encode() + body)
            self.transport.close()
        return self._head_bytes <= MAX_HEAD_BYTES

    def _await_headers(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None


def _common_name(certificate: dict[str, Any] | None) -> str | None:
    """The common name of a verified certificate."""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None
