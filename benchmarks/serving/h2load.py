"""Drives one server with h2load and reads what came back."""

from __future__ import annotations

import re
import resource
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.protocols import ACT, InvalidAnswer


class NoAnswer(InvalidAnswer):
    """No response came in the measured time."""


@dataclass(frozen=True)
class Load:
    """What one run of h2load measured."""

    requests: int
    seconds: float
    latencies_ms: np.ndarray  # [requests], unordered
    client_cpu_seconds: float

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.requests / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency in milliseconds that `percent` percent of the responses did not exceed."""
        return float(np.percentile(self.latencies_ms, percent))


def install() -> None:
    """Installs Debian's nghttp2-client if h2load is missing."""
    if shutil.which("h2load"):
        return
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "nghttp2-client"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def act(url: str, answer_bytes: int, connections: int, seconds: float) -> Load:
    """One run of calls of Act with one row each, one at a time on each connection. See `run`."""
    return run(
        url,
        ACT.method,
        ACT.request(1),
        connections=connections,
        seconds=seconds,
        answer_bytes=answer_bytes,
    )


def run(
    url: str,
    method: str,
    message: bytes,
    *,
    connections: int,
    seconds: float,
    answer_bytes: int,
    in_flight: int = 1,
    headers: Sequence[str] = (),
) -> Load:
    """Sends `message` on each connection and checks the size of every response.

    `url` is the server's. `in_flight` is the number of requests on each connection at a time.
    `headers` are more headers, as `NAME: VALUE`.

    Raises:
        InvalidAnswer: a request failed, or the bytes received are not `answer_bytes` times the
            number of responses.
    """
    frame = b"\0" + struct.pack(">I", len(message)) + message
    flags = ["-m", str(in_flight)]
    for header in ("content-type: application/grpc", "te: trailers", *headers):
        flags += ["-H", header]
    size = answer_bytes + 5  # the length prefix
    return _load(url + method, frame, flags, connections, seconds, size, in_flight)


def run_http(
    address: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    connections: int,
    seconds: float,
    answer_bytes: int,
) -> Load:
    """Does the same over HTTP/1.1."""
    flags = ["--h1", *(part for item in headers.items() for part in ("-H", ": ".join(item)))]
    return _load(f"http://{address}{path}", body, flags, connections, seconds, answer_bytes)


def _load(
    url: str,
    body: bytes,
    flags: list[str],
    connections: int,
    seconds: float,
    size: int,
    in_flight: int = 1,
) -> Load:
    """Does one run of h2load. `size` is the size of each response's body."""
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder) / "data", Path(folder) / "log"
        data.write_bytes(body)
        before = _children_cpu()
        command = ["h2load", "-D", f"{seconds * 1e3:.0f}ms", "-c", str(connections), "-d", str(data)]
        output = subprocess.run(
            [*command, *flags, f"--log-file={log}", url],
            check=True,
            capture_output=True,
            text=True,
            timeout=seconds + 60,
        ).stdout
        client_cpu = _children_cpu() - before
        latencies = np.array(log.read_text().split(), np.int64).reshape(-1, 3)[:, 2] / 1e3
    done, succeeded, received = parse(output)
    if done == 0:
        raise NoAnswer(f"nothing came within {seconds:g} s")
    if succeeded != done or not done * size <= received <= (done + connections * in_flight) * size:
        raise InvalidAnswer(
            f"{succeeded} of {done} answers succeeded with {received} bytes, wanted {done} times {size}"
        )
    return Load(done, seconds, latencies, client_cpu)


def parse(output: str) -> tuple[int, int, int]:
    """(responses, successful ones, bytes of their data), from h2load's output."""
    requests = re.search(r"(\d+) done, (\d+) succeeded", output)
    traffic = re.search(r"\((\d+)\) data", output)
    if requests is None or traffic is None:
        raise InvalidAnswer(f"h2load printed no result: {output[-500:]}")
    return int(requests[1]), int(requests[2]), int(traffic[1])


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
