"""The message of an inference response to a body: JSON, then the tensors wanted in binary."""

from __future__ import annotations

import math
import struct
from typing import Any

from starlette.responses import Response
from tritonclient.grpc import service_pb2 as pb

from policyd_server.http.messages import number
from policyd_server.http.numbers import JSON
from policyd_server.http.open_inference.requests import BINARY_SIZE, HEADER_LENGTH, Inference

# format characters of struct, and sizes in bytes
_FORMATS = {"FP32": ("f", 4), "INT64": ("q", 8), "BOOL": ("?", 1)}


def encode(asked: Inference, answer: pb.ModelInferResponse) -> Response:
    """Returns the response to the request."""
    told: dict[str, Any] = {"model_name": answer.model_name, "model_version": answer.model_version}
    if answer.id:
        told["id"] = answer.id
    if answer.parameters:
        told["parameters"] = {name: _parameter(value) for name, value in answer.parameters.items()}
    told["outputs"] = []
    binary = []
    for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True):
        tensor = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
        if asked.all_binary or output.name in asked.binary:
            tensor["parameters"] = {BINARY_SIZE: len(raw)}
            binary.append(raw)
        else:
            tensor["data"] = _numbers(raw, output.datatype)
        told["outputs"].append(tensor)
    text = JSON.encode(told).encode()
    if not binary:
        return Response(text, media_type="application/json")
    headers = {HEADER_LENGTH: str(len(text))}
    return Response(b"".join([text, *binary]), headers=headers, media_type="application/octet-stream")


def _parameter(value: pb.InferParameter) -> Any:
    """Returns the value. A large integer (a seed) is a text, because JavaScript would round it."""
    found = getattr(value, value.WhichOneof("parameter_choice"))
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else found


def _numbers(raw: bytes, datatype: str) -> list[Any]:
    """Returns the elements, row-major."""
    kind, size = _FORMATS[datatype]
    values = struct.unpack(f"<{len(raw) // size}{kind}", raw)
    if kind == "f" and not all(map(math.isfinite, values)):
        return [number(value) for value in values]
    return list(values)
