"""The protocol's paths for the OpenAPI document.

The protocol is not ours and has no .proto file with comments, so its schemas are written here. A
test holds them against the routes and against what the server answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_TAG = "open inference protocol"
_ERROR = "#/components/schemas/Error"
_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_ANY: Schema = {"type": "object"}
_NAMES: Schema = {"type": "array", "items": _TEXT}


def _object(description: str, required: str, **properties: Schema) -> Schema:
    told: Schema = {"type": "object", "description": description, "properties": properties}
    return {**told, "required": required.split()} if required else told


def _list(name: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


_SHAPE: Schema = {"type": "array", "items": {"type": "integer"}, "description": "-1: any number of rows."}
_DATA: Schema = {"type": "array", "items": {}, "description": "Row-major; left out where it is binary."}

SCHEMAS: Mapping[str, Schema] = {
    "InferenceServer": _object(
        "What answers.", "name version extensions", name=_TEXT, version=_TEXT, extensions=_NAMES
    ),
    "InferenceHealth": _object(
        "As KServe's client reads it.", "", live={"type": "boolean"}, ready={"type": "boolean"}
    ),
    "InferenceModelReady": _object(
        "Whether a version is in memory.", "name ready", name=_TEXT, ready={"type": "boolean"}
    ),
    "InferenceTensor": _object(
        "A tensor of a model.",
        "name datatype shape",
        name=_TEXT,
        datatype=_said(_TEXT, "FP32, INT64 or BOOL."),
        shape=_SHAPE,
    ),
    "InferenceModel": _object(
        "A policy's inputs and outputs.",
        "name versions platform inputs outputs",
        name=_TEXT,
        versions=_NAMES,
        platform=_TEXT,
        inputs=_list("InferenceTensor"),
        outputs=_list("InferenceTensor"),
    ),
    "InferenceModelConfig": _object(
        "Triton's model configuration, as load generators read it.",
        "name platform input output",
        name=_TEXT,
        platform=_TEXT,
        max_batch_size={"type": "integer"},
        input={"type": "array", "items": _ANY},
        output={"type": "array", "items": _ANY},
    ),
    "InferenceStatistics": _object(
        "Counts since the start of the worker that answers.",
        "model_stats",
        model_stats={"type": "array", "items": _ANY},
    ),
    "InferenceInput": _object(
        "A tensor of a request.",
        "name shape datatype",
        name=_said(_TEXT, "observations or action_mask."),
        shape=_SHAPE,
        datatype=_TEXT,
        data=_DATA,
        parameters=_said(_ANY, "binary_data_size: how many of the bytes after the JSON are this tensor."),
    ),
    "InferenceWanted": _object(
        "An output that is wanted.",
        "name",
        name=_TEXT,
        parameters=_said(_ANY, "binary_data: whether it comes as bytes after the JSON."),
    ),
    "InferenceRequest": _object(
        "A batch of observations.",
        "inputs",
        id=_said(_TEXT, "It comes back with the answer."),
        inputs=_list("InferenceInput"),
        outputs=_list("InferenceWanted"),
        parameters=_said(
            _ANY, "seed, first_row, deterministic, temperature; binary_data_output: all outputs as bytes."
        ),
    ),
    "InferenceOutput": _object(
        "A tensor of an answer.",
        "name shape datatype",
        name=_TEXT,
        shape=_SHAPE,
        datatype=_TEXT,
        data=_DATA,
        parameters=_ANY,
    ),
    "InferenceResponse": _object(
        "The actions and their distribution.",
        "model_name model_version outputs",
        id=_TEXT,
        model_name=_TEXT,
        model_version=_TEXT,
        parameters=_ANY,
        outputs=_list("InferenceOutput"),
    ),
    "InferenceIndexWanted": _object("Which versions.", "", ready={"type": "boolean"}),
    "InferenceVersion": _object(
        "A version in the repository.",
        "name version state reason",
        name=_TEXT,
        version=_TEXT,
        state=_said(_TEXT, "READY: it is in memory."),
        reason=_TEXT,
    ),
    "InferenceMove": _object("Parameters, which change nothing here.", "", parameters=_ANY),
}

_MODEL = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")


def paths() -> dict[str, dict[str, Any]]:
    """Returns every path below /v2 with its verb."""
    told = {
        "/v2": _get("Inference.Server", "The server's name and release", "InferenceServer"),
        "/v2/health/live": _get("Inference.Live", "Whether it lives", "InferenceHealth"),
        "/v2/health/ready": _get("Inference.Ready", "Whether it serves; 503 if not", "InferenceHealth"),
        "/v2/models/stats": _get("Inference.AllStatistics", "Counts of all models", "InferenceStatistics"),
        "/v2/repository/index": _post(
            "Inference.Index", "Every version of every policy", "InferenceIndexWanted", "InferenceVersion"
        ),
        "/v2/repository/models/{model}/load": _post(
            "Inference.Load", "Looks at the repository now", "InferenceMove", ""
        ),
        "/v2/repository/models/{model}/unload": _post(
            "Inference.Unload", "Frees versions that were loaded by number", "InferenceMove", ""
        ),
    }
    for path, which in zip(_MODEL, ("", "Version"), strict=True):
        told[path] = _get(f"Inference.{which}Model", "Inputs and outputs", "InferenceModel")
        told[f"{path}/ready"] = _get(
            f"Inference.{which}ModelReady", "Whether it is in memory; 503 if not", "InferenceModelReady"
        )
        told[f"{path}/config"] = _get(
            f"Inference.{which}Config", "Triton's configuration", "InferenceModelConfig"
        )
        told[f"{path}/stats"] = _get(f"Inference.{which}Statistics", "Counts", "InferenceStatistics")
        told[f"{path}/infer"] = _post(
            f"Inference.{which}Infer", "Actions for a batch", "InferenceRequest", "InferenceResponse"
        )
    for path, verbs in told.items():
        for operation in verbs.values():
            operation["parameters"] += _parameters(path)
    return told


def _parameters(path: str) -> list[Schema]:
    names = [name for name in ("model", "version") if f"{{{name}}}" in path]
    return [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]


def _get(name: str, summary: str, answer: str) -> dict[str, Any]:
    return {"get": _operation(name, summary, {"$ref": f"#/components/schemas/{answer}"})}


def _post(name: str, summary: str, body: str, answer: str) -> dict[str, Any]:
    """Returns the description of a POST. `answer`: empty if the response has no body."""
    schema: Schema | None = {"$ref": f"#/components/schemas/{answer}"} if answer else None
    if answer == "InferenceVersion":
        schema = _list(answer)
    operation = _operation(name, summary, schema)
    taken = {"application/json": {"schema": SCHEMAS[body]}}
    operation["requestBody"] = {"content": taken, "required": answer == "InferenceResponse"}
    if answer == "InferenceResponse":
        taken["application/octet-stream"] = {"schema": _said(_TEXT, "The JSON, then binary tensors.")}
        length = {"name": "Inference-Header-Content-Length", "in": "header", "schema": _WHOLE}
        operation["parameters"] = [
            {**length, "description": "Bytes of the JSON, where binary tensors follow."}
        ]
        told = operation["responses"]["200"]["content"]
        told["application/octet-stream"] = {"schema": _said(_TEXT, "The JSON, then binary tensors.")}
    return {"post": operation}


def _operation(name: str, summary: str, answer: Schema | None) -> dict[str, Any]:
    content = {"application/json": {"schema": answer}} if answer is not None else {}
    return {
        "operationId": name,
        "tags": [_TAG],
        "summary": summary,
        "description": "As the Open Inference Protocol v2 defines it.",
        "parameters": [],
        "responses": {
            "200": {"description": "It succeeded.", "content": content},
            "default": {
                "description": "It failed; the status follows the code.",
                "content": {"application/json": {"schema": {"$ref": _ERROR}}},
            },
        },
    }
