"""Inference requests that clients write by hand, and those that are wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.policyd_server.http.conftest import Client

INFER = "/v2/models/cartpole/infer"
ROW = [0.1, -0.2, 0.3, 0.4]


def _tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "observations", "shape": [1, 4], "datatype": "FP32", "data": ROW, **changes}


def _request(**changes: Any) -> dict[str, Any]:
    return {"inputs": [_tensor(**changes)]}


def test_curl(client: Client) -> None:
    """A request typed by hand, without a content type, gets plain JSON."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    request = json.dumps({**_request(data=[ROW]), "parameters": {"seed": 1, "temperature": 0.5}})
    told = subprocess.run(
        [curl, "--silent", "--max-time", "60", "--data", request, client.url + INFER],
        capture_output=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(told.stdout)
    probabilities = next(o for o in answer["outputs"] if o["name"] == "action_probs")
    assert probabilities["shape"] == [1, 2]
    assert sum(probabilities["data"]) == pytest.approx(1)
    assert answer["parameters"]["seed"] == "1"
    assert len(answer["parameters"]["digest"]) == 64


def test_kserve_reads_the_health(client: Client) -> None:
    """KServe's client reads the bodies, not only the status."""
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True}
    assert client.get("/v2/models/cartpole/ready").json == {"name": "cartpole", "ready": True}


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "body"),
    "an array": (b"[]", "body"),
    "no UTF-8": (b'{"id": "\xff"}', "body"),
    "half a surrogate": (b'{"id": "\\ud800"}', "id"),
    "NaN": (b'{"inputs": [{"data": [NaN]}]}', "body"),
    "an infinite number": (b'{"inputs": [{"data": [1e999]}]}', "body"),
    "deep": (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body"),
    "many digits": (b'{"inputs": [' + b"9" * 10_000 + b"]}", "body"),
    "an unknown field": ({"input": []}, "input"),
    "no inputs": ({}, "inputs"),
    "an input that is no object": ({"inputs": [7]}, "inputs[0]"),
    "no name": ({"inputs": [{}]}, "inputs[0].name"),
    "a wrong name": (_request(name="x"), "inputs[0].name"),
    "a negative length": (_request(shape=[-1, 4]), "inputs[0].shape[0]"),
    "a huge length": (_request(shape=[2**80, 4]), "inputs[0].shape[0]"),
    "a length that is true": (_request(shape=[True, 4]), "inputs[0].shape[0]"),
    "a wrong shape": (_request(shape=[1, 5]), "inputs[0].shape"),
    "an overflowing shape": (_request(shape=[2**62, 4]), "inputs[0]"),
    "a wrong datatype": (_request(datatype="FP64"), "inputs[0].datatype"),
    "no datatype": (_request(datatype="FLOAT"), "inputs[0].datatype"),
    "too few numbers": (_request(data=[1, 2]), "inputs[0]"),
    "texts": (_request(data=["1"] * 4), "inputs[0].data"),
    "nulls": (_request(data=[None] * 4), "inputs[0].data"),
    "ragged": (_request(data=[[1, 2], [3]]), "inputs[0].data"),
    "objects": (_request(data=[{}] * 4), "inputs[0].data"),
    "larger than float32": (_request(data=[1e39, 0, 0, 0]), "observations"),
    "a huge whole number": (_request(data=[10**30, 0, 0, 0]), "inputs[0].data"),
    "a seed below 0": ({**_request(), "parameters": {"seed": -1}}, "parameters[seed]"),
    "a huge seed": ({**_request(), "parameters": {"seed": 2**70}}, "parameters[seed]"),
    "a seed that is a list": ({**_request(), "parameters": {"seed": []}}, "parameters[seed]"),
    "no temperature": ({**_request(), "parameters": {"temperature": "hot"}}, "parameters[temperature]"),
    "a wrong output": ({**_request(), "outputs": [{"name": "x"}]}, "outputs[0].name"),
    "an output that is no object": ({**_request(), "outputs": [1]}, "outputs[0]"),
    "data and binary": (_request(parameters={"binary_data_size": 0}), "inputs[0].data"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(client: Client, name: str) -> None:
    """The response has status 400, the reason, and the field."""
    body, field = WRONG[name]
    answer = client.post(INFER, body)
    assert answer.status == 400, answer.body
    assert answer.json["reason"] == "INVALID_ARGUMENT"
    assert [each["field"] for each in answer.json["fields"]] == [field], answer.json
    assert field in answer.json["error"]


@pytest.mark.parametrize("length", ["", "-1", "x", "0", "1000", "²", "9" * 5000])
def test_a_wrong_length_of_the_json(client: Client, length: str) -> None:
    """The header is checked before anything is parsed."""
    answer = client.ask("POST", INFER, b"{}", {"Inference-Header-Content-Length": length.encode("utf-8")})  # type: ignore[dict-item]
    assert answer.status in (400, 431)
    assert answer.json["error"]


@pytest.mark.parametrize(
    ("size", "binary", "field"),
    [
        (16, b"\0" * 15, "inputs[0].parameters[binary_data_size]"),
        (16, b"\0" * 17, "body"),
        (-1, b"", "inputs[0].parameters[binary_data_size]"),
        (2**70, b"", "inputs[0].parameters[binary_data_size]"),
        ("x", b"", "inputs[0].parameters[binary_data_size]"),
        (15, b"\0" * 15, "inputs[0]"),
    ],
)
def test_binary_data_of_a_wrong_size(client: Client, size: Any, binary: bytes, field: str) -> None:
    """Missing bytes and additional bytes each are an error."""
    tensor = _tensor(parameters={"binary_data_size": size})
    del tensor["data"]
    text = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    answer = client.ask("POST", INFER, text + binary, headers)
    assert answer.status == 400
    assert [each["field"] for each in answer.json["fields"]] == [field]
