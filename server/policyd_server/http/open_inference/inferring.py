"""Inference: from the bytes of a request to those of its answer."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import Response
from tritonclient.grpc import service_pb2 as pb

from policyd_server.http.endpoints import HotEndpoint
from policyd_server.http.open_inference import requests, responses
from policyd_server.http.open_inference.requests import Inference


class InferEndpoint(HotEndpoint):
    """POST /v2/models/MODEL/infer, with or without a version."""

    @property
    def limit(self) -> int:
        """The largest body in bytes: that of a message over gRPC."""
        return self.gateway.settings.max_message_bytes

    def decode(self, names: Mapping[str, str], headers: Headers, body: bytes) -> Inference:
        """Returns the request in a body. InvalidArgument: a field is wrong."""
        length = headers.get(requests.HEADER_LENGTH)
        return requests.decode(body, length, names["model"], names.get("version", ""))

    def encode(self, asked: Inference, answer: pb.ModelInferResponse) -> Response:
        """Returns the response to the request."""
        return responses.encode(asked, answer)
