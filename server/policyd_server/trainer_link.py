"""The connection to the trainer: TLS and credentials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import grpc.aio
import pydantic

from policyd.errors import FailedPrecondition
from policyd.runtime.tls import TlsFiles, channel_credentials

_FILE = click.Path(path_type=Path, dir_okay=False)


class TrainerLink(pydantic.BaseModel):
    """How this server authenticates to the trainer. By default: no TLS and no credentials."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    trainer_ca: Path | None = None  # PEM: the authority that signed the trainer's certificate; turns on TLS
    trainer_cert: Path | None = None  # PEM: the chain that is shown to the trainer (mTLS)
    trainer_key: Path | None = None  # PEM: the key of that certificate
    trainer_token_file: Path | None = None  # file with a token, read for each call, so that it can be rotated

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> TrainerLink:
        if (self.trainer_cert is None) != (self.trainer_key is None):
            raise ValueError("trainer_cert and trainer_key come together")
        if self.trainer_cert is not None and self.trainer_ca is None:
            raise ValueError("trainer_cert needs trainer_ca")
        return self

    def channel(self, address: str, options: Sequence[tuple[str, int]]) -> grpc.aio.Channel:
        """Returns a channel to the trainer. FailedPrecondition: a file cannot be read."""
        if self.trainer_ca is None:
            return grpc.aio.insecure_channel(address, options=options)
        own = None
        if self.trainer_cert is not None and self.trainer_key is not None:
            own = TlsFiles(self.trainer_cert, self.trainer_key)
        return grpc.aio.secure_channel(address, channel_credentials(self.trainer_ca, own), options=options)

    def metadata(self) -> list[tuple[str, str | bytes]]:
        """Returns the metadata of each call to the trainer.

        Raises FailedPrecondition if the token cannot be read.
        """
        if self.trainer_token_file is None:
            return []
        try:
            token = self.trainer_token_file.read_text().strip()
        except OSError as error:
            message = f"{self.trainer_token_file}: {error.strerror}"
            raise FailedPrecondition(message, reason="NO_TRAINER_TOKEN") from None
        return [("authorization", f"Bearer {token}")]


def trainer_link_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of `TrainerLink` to a click command, each with its environment variable."""
    helps = {
        "trainer_ca": "PEM; who signed the trainer's certificate. Set: TLS to the trainer.",
        "trainer_cert": "PEM chain shown to the trainer.",
        "trainer_key": "PEM key of --trainer-cert.",
        "trainer_token_file": "File with the token that the trainer knows this server by.",
    }
    for name, text in reversed(helps.items()):
        flag = "--" + name.replace("_", "-")
        command = click.option(flag, envvar=f"POLICYD_{name.upper()}", type=_FILE, help=text)(command)
    return command
