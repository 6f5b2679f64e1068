"""ModelInferRequest to ticket.

Errors name the wrong tensor or parameter, what came and what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2 as pb

from policyd.counted import counted
from policyd.errors import InvalidArgument, Unimplemented
from policyd.quoting import MAX_QUOTED
from policyd.runtime import decoding
from policyd.tensors import OBSERVATIONS
from policyd_server.acting.decode import checked_ticket
from policyd_server.acting.ticket import Ticket
from policyd_server.models.version import LoadedVersion
from policyd_server.oip import tensors
from policyd_server.oip.tensors import BOOL, ELEMENT_BYTES, FP32, Tensor

# For each datatype: the field of its typed contents, and the type of its raw bytes.
_TYPED = {FP32: ("fp32_contents", np.dtype("<f4")), BOOL: ("bool_contents", np.dtype(np.bool_))}
_SHARED_MEMORY = "shared_memory_region"

MAX_VERSION = 2**63 - 1
MAX_DIGITS = 20  # of a number below 2^64


@dataclass(frozen=True)
class Wanted:
    """A checked request: its ticket, and the wanted outputs in their order."""

    ticket: Ticket
    outputs: tuple[Tensor, ...]


def parse(payload: bytes) -> pb.ModelInferRequest:
    """The request message. InvalidArgument: the bytes do not parse."""
    return decoding.parsed(pb.ModelInferRequest.FromString, payload)


def names(request: Any) -> tuple[str, int | None, str]:
    """Returns policy, version and alias. An empty version means the default alias.

    Raises InvalidArgument if the version is not a number.
    """
    text = request.model_version if hasattr(request, "model_version") else request.version
    name = request.model_name if hasattr(request, "model_name") else request.name
    if not text:
        return name, None, ""
    version = _digits(text)
    if version is None or version > MAX_VERSION:
        wanted = f"a whole number from 1 to {MAX_VERSION}, or nothing"
        raise InvalidArgument.of("model_version", got=_quoted(text), wanted=wanted)
    return name, version, ""


def _digits(text: str) -> int | None:
    """Returns the whole number that a text represents.

    None: it is not a number, or has more than 20 digits.
    """
    return int(text) if len(text) <= MAX_DIGITS and text.isascii() and text.isdecimal() else None


def _quoted(text: str) -> str:
    """Returns the text as Python writes it, with a bounded length.

    `repr` of a long text would take as long as the text.
    """
    return repr(text) if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]!r}... ({len(text)} characters)"


def decode(request: pb.ModelInferRequest, model: LoadedVersion, max_rows: int) -> Wanted:
    """Returns the checked request.

    Raises InvalidArgument, Unimplemented for shared memory, and Exhausted for too many rows.
    """
    contents = _contents(request, model)
    if OBSERVATIONS not in contents:
        raise InvalidArgument.of("inputs", got=f"{sorted(contents)}", wanted=f"an input {OBSERVATIONS}")
    parameters = request.parameters
    ticket = checked_ticket(
        model,
        contents[OBSERVATIONS],
        max_rows=max_rows,
        mask=contents.get(tensors.ACTION_MASK),
        seed=_whole(parameters, "seed"),
        first_row=_whole(parameters, "first_row") or 0,
        deterministic=_flag(parameters, "deterministic"),
        temperature=_number(parameters, "temperature", default=1.0),
    )
    return Wanted(ticket, _outputs(request, model))


def _contents(request: pb.ModelInferRequest, model: LoadedVersion) -> dict[str, bytes]:
    """Returns the raw bytes of each input by its name."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        wanted = f"one for each of the {len(request.inputs)} inputs, or none"
        raise InvalidArgument.of("raw_input_contents", got=len(raw), wanted=wanted)
    known = {tensor.name: tensor for tensor in tensors.inputs(model)}
    if model.head.mask_width:
        known[tensors.ACTION_MASK] = tensors.mask(model)
    found: dict[str, bytes] = {}
    for place, given in enumerate(request.inputs):
        if given.name not in known or given.name in found:
            got = f"{_quoted(given.name)}{' twice' if given.name in found else ''}"
            raise InvalidArgument.of(f"inputs[{place}].name", got=got, wanted=f"one of {sorted(known)}")
        found[given.name] = _bytes_of(given, raw[place] if raw else None, known[given.name], place)
    _check_batches(request, found)
    return found


def _bytes_of(given: Any, raw: bytes | None, tensor: Tensor, place: int) -> bytes:
    field = f"inputs[{place}]"
    if _SHARED_MEMORY in given.parameters:
        raise Unimplemented(f"{field}: shared memory is not served; send raw_input_contents")
    if given.datatype != tensor.datatype:
        raise InvalidArgument.of(f"{field}.datatype", got=given.datatype, wanted=tensor.datatype)
    shape = tuple(given.shape)
    if len(shape) < 1 or shape[0] < 1 or shape[1:] != tensor.shape:
        wanted = f"[batch, {', '.join(map(str, tensor.shape))}]"
        raise InvalidArgument.of(f"{field}.shape", got=list(shape), wanted=wanted)
    if raw is None:
        raw = _typed_bytes(given, tensor, field)
    elif given.HasField("contents"):
        raise InvalidArgument.of(f"{field}.contents", got="also raw contents", wanted="one of the two")
    size = ELEMENT_BYTES[tensor.datatype]
    for length in shape:
        size *= length
    if len(raw) != size:
        numbers, rest = divmod(len(raw), ELEMENT_BYTES[tensor.datatype])
        got = counted(len(raw), "bytes") if rest else counted(numbers, "numbers")
        wanted = f"{size // ELEMENT_BYTES[tensor.datatype]} of {tensor.datatype} for the shape {list(shape)}"
        raise InvalidArgument.of(field, got=got, wanted=wanted)
    return raw


def _typed_bytes(given: Any, tensor: Tensor, field: str) -> bytes:
    """Returns typed contents as raw bytes.

    All members of `contents` except the datatype's must be empty.
    """
    member, dtype = _TYPED[tensor.datatype]
    others = [descriptor.name for descriptor, _ in given.contents.ListFields() if descriptor.name != member]
    if others:
        raise InvalidArgument.of(f"{field}.contents", got=others[0], wanted=member)
    return np.array(getattr(given.contents, member), dtype).tobytes()


def _check_batches(request: pb.ModelInferRequest, found: Mapping[str, bytes]) -> None:
    batches = {given.name: given.shape[0] for given in request.inputs if given.name in found}
    if len(set(batches.values())) > 1:
        raise InvalidArgument.of("inputs", got=f"batches {batches}", wanted="one batch size")


def _outputs(request: pb.ModelInferRequest, model: LoadedVersion) -> tuple[Tensor, ...]:
    """Returns the outputs that the request names, in its order. If it names none: all."""
    available = {tensor.name: tensor for tensor in tensors.outputs(model)}
    chosen: dict[str, Tensor] = {}
    for place, output in enumerate(request.outputs):
        if output.name not in available or output.name in chosen:
            got = f"{output.name!r}{' twice' if output.name in chosen else ''}"
            raise InvalidArgument.of(f"outputs[{place}].name", got=got, wanted=f"one of {list(available)}")
        if _SHARED_MEMORY in output.parameters:
            raise Unimplemented(f"outputs[{place}]: shared memory is not served")
        chosen[output.name] = available[output.name]
    return tuple((chosen or available).values())


def _whole(parameters: Mapping[str, Any], name: str) -> int | None:
    """Returns a whole number below 2^64.

    It may also be a text, for clients whose integers end at 2^63.
    """
    if name not in parameters:
        return None
    kind = parameters[name].WhichOneof("parameter_choice")
    value: Any = getattr(parameters[name], kind) if kind else None
    number = _digits(value) if kind == "string_param" else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**64:
        wanted = "a whole number from 0 to 2^64 - 1"
        got = _quoted(value) if isinstance(value, str) else value
        raise InvalidArgument.of(f"parameters[{name}]", got=got, wanted=wanted)
    return number


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    if name not in parameters:
        return False
    if parameters[name].WhichOneof("parameter_choice") != "bool_param":
        got = parameters[name].WhichOneof("parameter_choice") or "nothing"
        raise InvalidArgument.of(f"parameters[{name}]", got=got, wanted="bool_param")
    return bool(parameters[name].bool_param)


def _number(parameters: Mapping[str, Any], name: str, *, default: float) -> float:
    if name not in parameters:
        return default
    kind = parameters[name].WhichOneof("parameter_choice")
    if kind not in ("double_param", "int64_param", "uint64_param"):
        raise InvalidArgument.of(f"parameters[{name}]", got=kind or "nothing", wanted="double_param")
    return float(getattr(parameters[name], kind))
