"""What a server can be told: one line a setting."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from policy_api.cpus import memory_limit, usable_cpus
from policy_api.security import Security
from server.security.trainer_link import TrainerLink

MIB = 2**20
SUPERVISOR_BYTES, WORKER_BYTES = 100 * MIB, 160 * MIB  # resident, measured: docs/serving-benchmark.md
ADDRESS = r"^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$"


def fitting(cpus: int, memory: int | None) -> int:
    """Workers for so many processors, as far as a limit of memory (bytes) holds them; at least 1."""
    return cpus if memory is None else max(1, min(cpus, (memory - SUPERVISOR_BYTES) // WORKER_BYTES))


class Settings(BaseModel):
    """Settings of one server. Unknown names and values out of range are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = Field(default="127.0.0.1:50051", pattern=ADDRESS)  # host:port; port 0: any free one
    repository: Path  # root of the model repository
    trainer: str = Field(default="127.0.0.1:50052", pattern=ADDRESS)  # host:port of the trainer's service
    transport: Literal["grpcio", "native"] = "grpcio"
    workers: int = Field(default=0, ge=0, le=256)  # processes on one port; 0: one a CPU that memory allows
    metrics: str | None = Field(default=None, pattern=ADDRESS)  # host:port of /metrics; None: not measured
    trace: str | None = None  # http://host:4317 of an OpenTelemetry collector; None: not traced
    port_file: Path | None = None  # where the bound address is written once the server is ready
    poll_interval: float = Field(default=1.0, gt=0)  # seconds between looks at the repository
    max_batch_rows: int = Field(default=16_384, ge=1)  # rows of one request
    max_queue_rows: int = Field(default=65_536, ge=1)  # rows that may wait
    max_message_bytes: int = Field(default=64 * MIB, ge=1024)  # of one message, either way
    extra_versions: int = Field(default=4, ge=0)  # sessions kept beyond those that aliases serve
    pin_seconds: float = Field(default=3600.0, gt=0)  # a stream's pin that nobody uses ends after these
    drain_seconds: float = Field(default=5.0, ge=0)  # for calls in flight at shutdown
    security: Security = Security()  # who may connect and call
    trainer_link: TrainerLink = TrainerLink()  # what the trainer wants to see

    @property
    def processes(self) -> int:
        """How many workers there are."""
        return self.workers or fitting(usable_cpus(), memory_limit())

    @model_validator(mode="after")
    def _transport_can(self) -> Settings:
        if self.transport == "native" and self.security.configured:
            raise ValueError(
                "transport native speaks no TLS and checks no callers: use grpcio, or leave both to a proxy"
            )
        return self
