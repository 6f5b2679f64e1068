"""Builds the limits in C.

The bare echo on nghttp2, and the same policy on nghttp2 and ONNX Runtime.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import onnxruntime

from policy_api.v1.policy_pb2 import ActRequest, ActResponse

SOURCE = Path(__file__).with_name("limit.c")
# Fields of the response, each under its own name.
ANSWERED = (
    *("policy", "version", "digest", "batch_size", "seed", "actions", "action_probs", "log_probs", "values"),
)


def build(folder: Path) -> Path:
    """Compiles the program. Needs gcc and libnghttp2-dev."""
    program = folder / "limit"
    if not program.exists():
        (folder / "limit_fields.h").write_text(_fields())
        libraries = ("-lnghttp2", "-ldl", "-lm")
        command = ["gcc", "-O3", "-march=native", f"-I{folder}", str(SOURCE), "-o", str(program), *libraries]
        subprocess.run(command, check=True)
    return program


def onnxruntime_library() -> Path:
    """The C library in onnxruntime's wheel."""
    return next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))


def _fields() -> str:
    asked, answered = ActRequest.DESCRIPTOR.fields_by_name, ActResponse.DESCRIPTOR.fields_by_name
    numbers = {f"FIELD_{name.upper()}": answered[name].number for name in ANSWERED}
    numbers |= {"FIELD_OBSERVATIONS": asked["observations"].number, "FIELD_ASKED_SEED": asked["seed"].number}
    return "".join(f"#define {name} {number}u\n" for name, number in numbers.items())
