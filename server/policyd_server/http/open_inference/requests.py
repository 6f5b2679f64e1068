"""The body of an inference request to the message that gRPC takes.

The body is JSON. Tensors may follow it in binary: then the header Inference-Header-Content-Length
says where the JSON ends, and each such input has the parameter binary_data_size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as pb

from policyd.counted import counted
from policyd.errors import InvalidArgument
from policyd_server.http import bodies, fields
from policyd_server.http.numbers import floats_of

HEADER_LENGTH = "inference-header-content-length"
BINARY_SIZE, BINARY, ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
MAX_INTEGER = 2**63 - 1
_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
_LENGTH = re.compile("[0-9]{1,12}")
_INPUT = frozenset({"name", "shape", "datatype", "parameters", "data"})
_OUTPUT = frozenset({"name", "parameters"})
_REQUEST = frozenset({"id", "parameters", "inputs", "outputs", "model_name", "model_version"})


@dataclass(frozen=True)
class Inference:
    """A request, and which of its outputs are sent in binary."""

    message: pb.ModelInferRequest
    binary: frozenset[str]
    all_binary: bool


def decode(body: bytes, header_length: str | None, model: str, version: str) -> Inference:
    """Returns the request in a body. Raises InvalidArgument, which names the wrong field."""
    end = _json_end(body, header_length)
    given = bodies.json_of(body[:end])
    fields.check_known(given, _REQUEST, "")
    parameters = fields.of_kind(given.get("parameters", {}), dict, "parameters")
    message = pb.ModelInferRequest(model_name=model, model_version=version)
    message.id = fields.text(given.get("id", ""), "id")
    _set_parameters(message.parameters, parameters, "parameters")
    rest = memoryview(body)[end:]
    for place, tensor in enumerate(fields.of_kind(given.get("inputs", []), list, "inputs")):
        rest = _add_input(message, tensor, rest, f"inputs[{place}]")
    if len(rest):
        wanted = f"as many as the parameters {BINARY_SIZE} of the inputs say"
        raise InvalidArgument.of("body", got=f"{counted(len(rest), 'bytes')} more", wanted=wanted)
    outputs = fields.of_kind(given.get("outputs", []), list, "outputs")
    binary = {name for place, each in enumerate(outputs) if (name := _add_output(message, each, place))}
    return Inference(message, frozenset(binary), parameters.get(ALL_BINARY) is True and not outputs)


def _json_end(body: bytes, header_length: str | None) -> int:
    if header_length is None:
        return len(body)
    end = int(header_length) if _LENGTH.fullmatch(header_length) else -1
    if not 0 < end <= len(body):
        wanted = f"the length of the JSON, from 1 to the body's {len(body)} bytes"
        raise InvalidArgument.of("Inference-Header-Content-Length", got=header_length[:40], wanted=wanted)
    return end


def _add_input(message: Any, given: Any, rest: memoryview, field: str) -> memoryview:
    """Adds one input with its bytes; returns the binary data that is left."""
    fields.check_known(fields.of_kind(given, dict, field), _INPUT, field)
    tensor = message.inputs.add()
    tensor.name = fields.text(given.get("name"), f"{field}.name")
    tensor.datatype = fields.text(given.get("datatype"), f"{field}.datatype")
    for place, length in enumerate(fields.of_kind(given.get("shape"), list, f"{field}.shape")):
        tensor.shape.append(fields.whole(length, 0, MAX_INTEGER, f"{field}.shape[{place}]"))
    parameters = dict(fields.of_kind(given.get("parameters", {}), dict, f"{field}.parameters"))
    size = parameters.pop(BINARY_SIZE, None)
    _set_parameters(tensor.parameters, parameters, f"{field}.parameters")
    if size is None:
        data = fields.of_kind(given.get("data"), list, f"{field}.data")
        raw = floats_of(data) if tensor.datatype == "FP32" else None
        message.raw_input_contents.append(raw or _numbers(data, tensor.datatype, field).tobytes())
        return rest
    if "data" in given:
        raise InvalidArgument.of(f"{field}.data", got=f"also {BINARY_SIZE}", wanted="one of the two")
    size = fields.whole(size, 0, len(rest), f"{field}.parameters[{BINARY_SIZE}]")
    message.raw_input_contents.append(bytes(rest[:size]))
    return rest[size:]


def _numbers(data: list[Any], datatype: str, field: str) -> NDArray[Any]:
    """Returns the numbers of a tensor, nested or flat, in the datatype's own size."""
    dtype = _DTYPES.get(datatype)
    if dtype is None:
        raise InvalidArgument.of(
            f"{field}.datatype", got=datatype[:40], wanted=f"one of {', '.join(_DTYPES)}"
        )
    try:
        array = np.asarray(data)
    except (ValueError, OverflowError, RecursionError):
        array = np.full(1, None)  # the lists are uneven; refused below
    kinds = "b" if datatype == "BOOL" else "iu" if dtype.kind in "iu" else "iuf"
    if datatype == "BOOL" and array.dtype.kind in "iu":
        array = array != 0
    if array.size and array.dtype.kind not in kinds:
        wanted = f"numbers of {datatype}, flat or nested evenly"
        raise InvalidArgument.of(f"{field}.data", got="something else in the array", wanted=wanted)
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            wanted = f"from {limits.min} to {limits.max}"
            raise InvalidArgument.of(f"{field}.data", got="a larger number", wanted=wanted)
    with np.errstate(over="ignore"):  # it becomes infinite, and the check of all numbers refuses it
        return array.astype(dtype)


def _add_output(message: Any, given: Any, place: int) -> str | None:
    """Adds one wanted output. Returns its name if it is wanted in binary."""
    field = f"outputs[{place}]"
    fields.check_known(fields.of_kind(given, dict, field), _OUTPUT, field)
    output = message.outputs.add(name=fields.text(given.get("name"), f"{field}.name"))
    parameters = dict(fields.of_kind(given.get("parameters", {}), dict, f"{field}.parameters"))
    binary = parameters.pop(BINARY, False)
    _set_parameters(output.parameters, parameters, f"{field}.parameters")
    return output.name if fields.of_kind(binary, bool, f"{field}.parameters[{BINARY}]") else None


def _set_parameters(target: Any, given: dict[str, Any], field: str) -> None:
    for name, value in given.items():
        if name == ALL_BINARY:
            continue
        place = f"{field}[{name[:100]}]"
        if isinstance(value, bool):
            target[name].bool_param = value
        elif isinstance(value, int) and abs(value) <= MAX_INTEGER:
            target[name].int64_param = value
        elif isinstance(value, int):
            target[name].uint64_param = fields.whole(value, 0, 2**64 - 1, place)
        elif isinstance(value, float):
            target[name].double_param = value
        else:
            target[name].string_param = fields.text(value, place)
