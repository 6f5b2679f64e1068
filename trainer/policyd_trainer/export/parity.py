"""The parity certificate: ONNX Runtime computes what the trainer computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime

from policy_api.v1 import artifact_pb2
from policyd.errors import Internal

TOLERANCE = 1e-5


class ParityFailed(Internal):
    """ONNX Runtime's outputs differ from the trainer's; the model is not published."""

    reason = "PARITY_FAILED"


def runner(model: bytes) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The model as a function of observations [B, *shape], computed by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda observations: list(session.run(None, {"observations": observations}))


def largest_difference(expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]) -> float:
    """The largest |a - b| / max(1, |a|): absolute up to 1, relative above.

    (A float32 near 500 has no fifth decimal place to compare.)
    """
    worst = 0.0
    for a, b in zip(expected, actual, strict=True):
        if a.shape != b.shape:
            raise ParityFailed(f"the trainer computes shape {a.shape}, ONNX Runtime {b.shape}")
        worst = max(worst, float((np.abs(a - b) / np.maximum(1.0, np.abs(a))).max(initial=0.0)))
        if np.isnan(b).any():
            raise ParityFailed("ONNX Runtime computes NaN")
    return worst


def certify(difference: float, *, random: int, visited: int) -> artifact_pb2.ParityCertificate:
    """The certificate for the largest difference over `random` and `visited` observations.

    Raises:
        ParityFailed: the difference is above the tolerance.
    """
    if not difference <= TOLERANCE:
        raise ParityFailed(f"the trainer and ONNX Runtime differ by {difference:.3g}, above {TOLERANCE:g}")
    return artifact_pb2.ParityCertificate(
        random_observations=random,
        visited_observations=visited,
        max_abs_difference=difference,
        tolerance=TOLERANCE,
        onnxruntime_version=onnxruntime.__version__,
    )
