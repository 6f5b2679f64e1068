"""Where the learner's arrays live: numpy on a CPU, torch on a GPU or under autograd.

The closed-form mathematics is written once, with operators and the functions that numpy and
torch spell alike (`matmul`, `tanh`, `exp`, `sum(axis=)`, ...). On a CPU numpy's call costs about a
quarter of torch's, which is what counts at the small batches where A2C learns best per sample.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from policyd.errors import InvalidArgument
from policyd_trainer import compiled

Array = Any  # numpy.ndarray or torch.Tensor: the two have no common type


class Backend(Protocol):
    """Where arrays live, and the library that computes with them."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""

    @property
    def xp(self) -> Any:
        """The module, `numpy` or `torch`."""

    def asarray(self, array: np.ndarray) -> Array:
        """The same numbers as an array of this backend. Shares memory on a CPU, copies to a GPU."""

    def to_numpy(self, array: Array) -> np.ndarray:
        """The same numbers as a numpy array. Shares memory on a CPU, copies from a GPU."""


@dataclass(frozen=True)
class NumpyBackend:
    """Arrays in numpy, on the CPU."""

    device: str = "cpu"

    @property
    def xp(self) -> Any:
        """The module numpy."""
        return np

    def asarray(self, array: np.ndarray) -> np.ndarray:
        """The array itself."""
        return array

    def to_numpy(self, array: np.ndarray) -> np.ndarray:
        """The array itself."""
        return array


@dataclass(frozen=True)
class TorchBackend:
    """Tensors on one device."""

    device: str

    @property
    def xp(self) -> Any:
        """The module torch, imported at the first use."""
        return importlib.import_module("torch")

    def asarray(self, array: np.ndarray) -> Array:
        """A tensor on the device; on a CPU it shares the array's memory."""
        return self.xp.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)

    def to_numpy(self, array: Array) -> np.ndarray:
        """An array; on a CPU it shares the tensor's memory."""
        result: np.ndarray = array.detach().cpu().numpy()
        return result


def resolve_device(requested: str) -> str:
    """Turns the setting into `cpu` or `cuda`. `auto` takes a GPU if there is one.

    Raises:
        InvalidArgument: the machine does not have the device that was asked for.
    """
    if requested == "cpu" or (requested == "auto" and not _may_have_cuda()):
        return "cpu"
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        return "cuda"
    if requested == "cuda":
        raise InvalidArgument.of("settings[device]", got="cuda", wanted="cpu or auto: there is no usable GPU")
    return "cpu"


def _may_have_cuda() -> bool:
    """Whether the driver's library is there. Without it there is no GPU, and no need for torch."""
    ctypes = importlib.import_module("ctypes")
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return True
    return False


def is_compiled(xp: Any, array: Array) -> bool:
    """Whether the compiled functions exist and can take this array: float32 in numpy."""
    return compiled.AVAILABLE and xp is np and array.dtype == np.float32


def make_backend(device: str, *, autograd: bool) -> Backend:
    """NumPy on a CPU; torch if autograd or the device needs it."""
    return TorchBackend(device) if autograd or device != "cpu" else NumpyBackend()
