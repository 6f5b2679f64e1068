"""The server's settings, one line each."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policyd.repository import location
from policyd.runtime.cpus import usable_cpus
from policyd.runtime.security import Security
from policyd_server import front
from policyd_server.trainer_link import TrainerLink

MIB = 2**20
ADDRESS = r"^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$"
ADDRESS_OR_SOCKET = rf"{ADDRESS}|^unix:/[^\s,]+$"
_LISTEN = r"([^\s:,]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}|unix:/[^\s,]+|fd:\d+)"
LISTEN = f"^{_LISTEN}(,{_LISTEN})*$"


class Settings(BaseModel):
    """The settings of one server. Unknown names and values out of range are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = Field(default="127.0.0.1:50051", pattern=LISTEN)  # a list with commas; port 0: any free one
    repository: Annotated[Path | str, BeforeValidator(location)]  # a folder, or a URL of object storage
    cache: Path | None = None  # folder of local copies of object storage; None: in the user's cache folder
    # address of the trainer's service
    trainer: str = Field(default="127.0.0.1:50052", pattern=ADDRESS_OR_SOCKET)
    transport: Literal["front", "grpcio"] | None = None  # None: the front, if it is compiled
    # on one port; 0: one per CPU, as many as fit into the memory
    workers: int = Field(default=0, ge=0, le=256)
    start_seconds: float = Field(default=120.0, gt=0)  # for a worker to load the policies and serve
    http: str | None = Field(default=None, pattern=ADDRESS)  # host:port of HTTP and JSON; None: gRPC only
    metrics: str | None = Field(default=None, pattern=ADDRESS)  # host:port of /metrics; None: not measured
    trace: str | None = None  # http://host:4317 of an OpenTelemetry collector; None: not traced
    experience: Path | None = None  # folder of recorded experience; None: below the repository
    port_file: Path | None = None  # where the bound address is written once the server is ready
    poll_interval: float = Field(default=1.0, gt=0)  # seconds between polls of what cannot be watched
    max_batch_rows: int = Field(default=16_384, ge=1)  # rows of one request
    max_queue_rows: int = Field(default=65_536, ge=1)  # rows that may wait
    max_message_bytes: int = Field(default=64 * MIB, ge=1024)  # largest message in either direction
    max_import_bytes: int = Field(default=512 * MIB, ge=1024)  # of all files of one imported version
    extra_versions: int = Field(default=4, ge=0)  # versions kept in memory besides those that aliases serve
    pin_seconds: float = Field(default=3600.0, gt=0)  # a stream's pin ends after this time without use
    max_connection_age: float = Field(default=0.0, ge=0)  # seconds after which clients reconnect; 0: no limit
    drain_seconds: float = Field(default=5.0, ge=0)  # for calls in flight at shutdown
    security: Security = Security()  # who may connect and call
    trainer_link: TrainerLink = TrainerLink()  # how the server authenticates to the trainer

    @property
    def experience_root(self) -> Path:
        """Folder of recorded experience."""
        beside = self.repository if isinstance(self.repository, Path) else self.cache_root
        return self.experience or beside / "experience"

    @property
    def store(self) -> str:
        """The URL of a repository in object storage; empty: the repository is a folder."""
        return "" if isinstance(self.repository, Path) else str(self.repository)

    @property
    def cache_root(self) -> Path:
        """The folder of local copies of object storage. Each repository has its own."""
        if self.cache is not None:
            return self.cache
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return home / "policyd" / hashlib.sha256(str(self.repository).encode()).hexdigest()[:16]

    @property
    def supervised(self) -> bool:
        """Whether there may be several workers, which a supervisor starts."""
        return (self.workers or usable_cpus()) > 1

    @property
    def fronted(self) -> bool:
        """Whether the front serves."""
        return front.AVAILABLE if self.transport is None else self.transport == "front"

    @model_validator(mode="after")
    def _transport_is_there(self) -> Settings:
        if self.transport == "front" and not front.AVAILABLE:
            missing = "the front is not compiled here: docs/guide/serving.md says what it takes"
            raise ValueError(missing)
        if not self.fronted and self.supervised and "unix:" in self.listen:
            raise ValueError("several workers on a Unix socket need the front: set workers to 1")
        return self
