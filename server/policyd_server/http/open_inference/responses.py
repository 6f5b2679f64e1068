"""The message of an inference response to a body: JSON, then the tensors wanted in binary."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from starlette.responses import Response
from tritonclient.grpc import service_pb2 as pb

from policyd_server.http.messages import number
from policyd_server.http.open_inference.requests import BINARY_SIZE, HEADER_LENGTH, Inference

_DTYPES = {"FP32": "<f4", "INT64": "<i8", "BOOL": "?"}


def encode(asked: Inference, answer: pb.ModelInferResponse) -> Response:
    """The response to the request."""
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
    text = json.dumps(told, separators=(",", ":"), allow_nan=False).encode()
    if not binary:
        return Response(text, media_type="application/json")
    headers = {HEADER_LENGTH: str(len(text))}
    return Response(b"".join([text, *binary]), headers=headers, media_type="application/octet-stream")


def _parameter(value: pb.InferParameter) -> Any:
    """Its value. A large integer (a seed) is a text of digits: JavaScript would round it."""
    found = getattr(value, value.WhichOneof("parameter_choice"))
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else found


def _numbers(raw: bytes, datatype: str) -> list[Any]:
    """The elements, row-major."""
    array = np.frombuffer(raw, _DTYPES[datatype])
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [number(value) for value in array.tolist()]
    numbers: list[Any] = array.tolist()
    return numbers
