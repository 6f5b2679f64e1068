"""Odd responses and options for the codec of the compiled core, which protobuf reads as well.

`messages.py FOLDER INPUTS SEED`. FOLDER has the module, compiled with sanitizers.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from policy_api.v1 import policy_pb2
from policyd.client import calls
from policyd.client.acting import ActCodec
from policyd.errors import PolicydError

ARRAYS = ("action_probs", "log_probs", "values", "vectors", "action_mean", "action_std", "gaussian_samples")
NAMES = ("", "p", "ä" * 40, "x" * 4096, "x" * 4097, "\ud800", 3, None)
NUMBERS = (0, 1, 127, 128, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -1, True, 1.5, None)


def load(folder: Path) -> Any:
    """Loads the module in `folder` instead of the installed one."""
    [library] = folder.glob("codec*.so")
    spec = importlib.util.spec_from_file_location("policyd.client.wire.codec", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def odd_response(chance: random.Random, batch: int) -> bytes:
    """A response to `batch` rows, mostly damaged."""
    response = policy_pb2.ActResponse(policy="p", version=3, digest="d" * 64, batch_size=batch, seed=2**63)
    response.actions.raw = chance.randbytes(8 * batch * chance.choice((1, 1, 2)))
    for field in ARRAYS:
        if chance.random() < 0.4:
            getattr(response, field).raw = chance.randbytes(4 * batch * chance.randrange(4))
    data = bytearray(response.SerializeToString())
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(data) or 1)
        way = chance.random()
        if way < 0.5 and data:
            data[place] = chance.randrange(256)
        elif way < 0.8:
            del data[place : place + chance.randrange(4)]
        else:
            del data[place:]
    return bytes(data)


def check_response(codec: Any, chance: random.Random) -> bool:
    """Checks that the codec reads what protobuf reads. Returns whether the codec has read it."""
    batch = chance.choice((1, 1, 2, 7))
    data = odd_response(chance, batch)
    fields = codec.decode(data, batch)
    if fields is None:
        return False
    expected = ActCodec(np.zeros((batch, 1), np.float32)).decode(policy_pb2.ActResponse.FromString(data))
    assert fields.keys() == expected.__dict__.keys()
    for name, value in fields.items():
        wanted = getattr(expected, name)
        assert type(value) is type(wanted), name
        if isinstance(value, np.ndarray):
            assert (value.dtype, value.shape) == (wanted.dtype, wanted.shape), name
            assert value.tobytes() == wanted.tobytes(), name
        else:
            assert value == wanted, name
    return True


def check_request(codec: Any, chance: random.Random) -> bool:
    """Checks that the codec writes what protobuf writes, or nothing if protobuf refuses."""
    shape = [chance.randrange(5) for _ in range(chance.randrange(4))]
    observations = np.zeros(shape, chance.choice(("<f4", "<f4", "<f4", ">f4", "<f8")))
    options: dict[str, Any] = {}
    for name, values in (
        ("policy", NAMES),
        ("alias", NAMES),
        ("version", NUMBERS),
        ("seed", NUMBERS),
        ("first_row", NUMBERS),
        ("deterministic", (True, False, 1, None)),
        ("temperature", (None, 0.5)),
    ):
        if chance.random() < 0.25:
            options[name] = chance.choice(values)
    written = codec.encode(observations, options)
    if written is None:
        return False
    assert written == calls.act(observations, **options).request.SerializeToString(), options
    return True


def main(folder: Path, inputs: int, seed: int) -> None:
    """Ends with an AssertionError at the first difference."""
    codec, chance = load(folder), random.Random(seed)
    read = written = 0
    for _ in range(inputs // 2):
        read += check_response(codec, chance)
        try:
            written += check_request(codec, chance)
        except PolicydError as error:
            raise AssertionError("the codec wrote what protobuf refuses") from error
    print(f"{inputs} messages, no finding; {read} responses read, {written} requests written")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
