"""A connection that answers hot requests whose head it knows: no parser, no task."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from starlette.responses import Response

from policyd.errors import PolicydError
from policyd.runtime import log
from policyd_server.http import errors
from policyd_server.http.calls import peer_at
from policyd_server.http.compression import compressed
from policyd_server.http.hot import HotRequest, surround
from policyd_server.http.protocol import BoundedProtocol
from policyd_server.http.quick import Known, KnownHeaders

_LOG = logging.getLogger(__name__)


class QuickProtocol(BoundedProtocol):
    """One connection."""

    heads: KnownHeaders  # shared by all connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._between = True  # whether the parser waits for a request's first byte
        self._peer = ""

    def on_message_begin(self) -> None:
        """Called when a request begins."""
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Called when the request is complete."""
        super().on_message_complete()
        self._between = True

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the client: often one request whose headers are known."""
        self._unset_keepalive_if_required()
        alone = self._between and self._may_be_quick()
        if alone and (found := self.heads.find(data)) is not None and self._begin(*found):
            return
        super().data_received(data)
        request: Any = self.cycle
        if alone and self._between and isinstance(request, HotRequest):
            self._learn(data, request)

    def _may_be_quick(self) -> bool:
        """Whether a request may be answered at once.

        Not if the client has a certificate, of which the services must be told, or if it has not
        read earlier responses.
        """
        if self.transport.is_closing() or self.flow.write_paused or self.app_state["common_name"] is not None:
            return False
        return not self._is_busy()

    def _learn(self, data: bytes, request: HotRequest) -> None:
        """Remembers the headers of a request, so that the next one like it is answered sooner."""
        scope: Any = self.scope
        if request.keep_alive and not request.response_complete and request.route is not None:
            self.hot.learn(self.heads, data, request.route, scope)

    def _begin(self, known: Known, body: bytes) -> bool:
        """Calls the worker.

        False: the request has to go the slow way, which says what is wrong.
        """
        request, request_id = HotRequest(None, keep_alive=True), log.new_request_id()
        endpoint = known.endpoint
        try:
            asked = endpoint.decode(known.names, known.headers, body)
        except Exception:  # noqa: BLE001 -- the slow way raises it again, and answers it
            return False
        log.request_id.set(request_id)
        end = partial(self._end, known, asked, request, request_id)
        calls = endpoint.gateway.calls
        self.cycle, before = request, self.cycle  # type: ignore[assignment]  # as much of it as is asked for
        try:
            if not calls.begin(endpoint.method, asked.message, known.authorization, self._told_peer(), end):
                self.cycle = before
                return False
        except PolicydError as error:
            end(error)
        self._stop_timer()
        return True

    def _end(
        self, known: Known, asked: Any, request: HotRequest, request_id: str, found: bytes | Exception
    ) -> None:
        """Sends the response to a call. It never raises."""
        log.request_id.set(request_id)
        try:
            response = _response(known, asked, found)
        except PolicydError as error:
            response = errors.response(error)
        except Exception as error:  # noqa: BLE001 -- the boundary: nothing that a client sends may end the process
            path = known.endpoint.method.path
            response = errors.response(log.unexpected(_LOG, f"unexpected error in {path}", error))
        surround(response)
        self._write(request, response)

    def _told_peer(self) -> str:
        if not self._peer:
            self._peer = peer_at(self.client)
        return self._peer


def _response(known: Known, asked: Any, found: bytes | Exception) -> Response:
    """Returns the response for what a call gave. Raises it if it is an error."""
    if isinstance(found, Exception):
        raise found
    endpoint = known.endpoint
    return compressed(known.headers, endpoint.encode(asked, endpoint.method.response.FromString(found)))
