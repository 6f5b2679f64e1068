"""TLS of the HTTP port from the server's PEM files.

Renewed certificates, and another authority of the clients, are used without a restart.
"""

from __future__ import annotations

import asyncio
import logging
import ssl

from policyd.errors import FailedPrecondition
from policyd.runtime.tls import KeptCertificate, TlsFiles

LOOK_SECONDS = 1.0

_LOG = logging.getLogger(__name__)


class FollowedContext:
    """A server's TLS context that follows its files: a handshake uses what was read last."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._kept = KeptCertificate()
        self._stamps = files.stamps()
        self._newest = self.context = _context(files)
        # OpenSSL adds authorities to a context and never removes one. So renewed files get another
        # context, and each handshake is given the newest.
        self.context.sni_callback = self._use_newest

    async def run(self) -> None:
        """Reads the files again whenever they have changed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Reads the files if they have changed. If they are broken, the last good ones stay."""
        stamps = self._files.stamps()
        if stamps == self._stamps:
            return
        try:
            self._files.check()
            self._newest = _context(self._files)
        except (FailedPrecondition, OSError) as error:
            self._kept.log(str(error))
            return
        self._stamps = stamps
        _LOG.info("read the renewed certificate %s", self._files.certificate)

    def _use_newest(self, handshake: ssl.SSLObject | ssl.SSLSocket, *_: object) -> None:
        handshake.context = self._newest


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(files.certificate, files.key)
    if files.authority is not None:
        context.load_verify_locations(files.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
