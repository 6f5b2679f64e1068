"""TLS of the HTTP port from the server's PEM files.

Renewed certificates are used without a restart.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from policyd.errors import FailedPrecondition
from policyd.runtime.tls import TlsFiles

LOOK_SECONDS = 1.0

_LOG = logging.getLogger(__name__)


class FollowedContext:
    """A server's TLS context that follows its files: a handshake uses what was read last."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp = self._look()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.load_cert_chain(files.certificate, files.key)
        if files.authority is not None:
            self.context.load_verify_locations(files.authority)
            self.context.verify_mode = ssl.CERT_REQUIRED

    async def run(self) -> None:
        """Reads the certificate again whenever its files have changed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            stamp = self._look()
            if stamp == self._stamp:
                continue
            try:
                self._files.check()
                self.context.load_cert_chain(self._files.certificate, self._files.key)
            except (FailedPrecondition, OSError) as error:
                _LOG.error("the certificate stays as it was: %s", error)
                continue
            self._stamp = stamp
            _LOG.info("read the renewed certificate %s", self._files.certificate)

    def _look(self) -> list[tuple[int, int] | None]:
        return [_stamp(path) for path in (self._files.certificate, self._files.key)]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
