"""The file of callers: their names, roles and digests of tokens. It is read again when it changes.

    callers:
      - name: ci
        roles: [act, train]
        token_sha256: 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
      - name: server
        roles: [train]
        certificate: policyd-server    # the common name of a client certificate

The file holds SHA-256 digests, never tokens. A token is random, 32 bytes or more, so that
a plain digest of it cannot be reversed.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import pydantic
import yaml

from policyd.errors import FailedPrecondition

# A changed file is noticed after at most this many seconds.
POLL = 1.0

_LOG = logging.getLogger(__name__)


class Role(enum.StrEnum):
    """What a caller may do."""

    ACT = "act"  # ask for actions, look at policies
    TRAIN = "train"  # ask for training, look at jobs
    ADMIN = "admin"  # promote and roll back


class Caller(pydantic.BaseModel):
    """A caller and its credentials: at least one of `token_sha256` and `certificate`."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    name: str = pydantic.Field(min_length=1, max_length=128)
    roles: frozenset[Role] = pydantic.Field(min_length=1)
    # Lower-case hexadecimal.
    token_sha256: str | None = pydantic.Field(default=None, pattern="^[0-9a-f]{64}$")
    # The common name of a client certificate that the configured CA signed.
    certificate: str | None = pydantic.Field(default=None, min_length=1)

    @pydantic.model_validator(mode="after")
    def _is_provable(self) -> Caller:
        if self.token_sha256 is None and self.certificate is None:
            raise ValueError("expected token_sha256 or certificate")
        return self


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    callers: tuple[Caller, ...]


class Callers:
    """The callers of one file.

    A changed file is used within a second. If it is broken, the callers from before stay.
    """

    def __init__(self, path: Path) -> None:
        """Raises FailedPrecondition if the file cannot be read or is not valid."""
        self._path = path
        self._stamp = _stamp(path)
        self._callers = read(path)
        self._next_look = time.monotonic() + POLL

    def by_token(self, token: str) -> Caller | None:
        """Returns the caller with this token, or None.

        The time that it takes does not tell how much of a wrong token was right.
        """
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for caller in self._current():
            if hmac.compare_digest(caller.token_sha256 or "", digest):
                found = caller
        return found

    def by_certificate(self, common_name: str) -> Caller | None:
        """Returns the caller whose client certificate has this common name. TLS has verified it."""
        return next((caller for caller in self._current() if caller.certificate == common_name), None)

    def _current(self) -> Sequence[Caller]:
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + POLL
            self._reload()
        return self._callers

    def _reload(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._callers = read(self._path)
        except FailedPrecondition as error:
            _LOG.error("the callers stay as they were: %s", error.message)
        else:
            _LOG.info("read %d callers", len(self._callers))


def read(path: Path) -> tuple[Caller, ...]:
    """Reads the callers of a file.

    Raises FailedPrecondition, which names the wrong entry but never quotes a value.
    """
    try:
        return _File.model_validate(yaml.safe_load(path.read_text())).callers
    except pydantic.ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise FailedPrecondition(f"{path}: {faults}", reason="BAD_CALLERS_FILE") from None
    except (OSError, yaml.YAMLError) as error:
        raise FailedPrecondition(f"{path}: {type(error).__name__}", reason="BAD_CALLERS_FILE") from None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
