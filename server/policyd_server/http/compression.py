"""Compressed responses for clients that ask for them, as Triton has them."""

from __future__ import annotations

import gzip
import zlib

from starlette.datastructures import Headers
from starlette.responses import Response

MIN_BYTES = 512  # a smaller response would not become smaller


def compressed(headers: Headers, response: Response) -> Response:
    """Compresses the response with gzip or deflate, if the headers of the request accept one."""
    body = bytes(response.body)
    if len(body) < MIN_BYTES:
        return response
    accepted = [part.partition(";")[0].strip() for part in headers.get("accept-encoding", "").split(",")]
    if not {"gzip", "deflate"} & set(accepted):
        return response
    coding = "gzip" if "gzip" in accepted else "deflate"
    response.body = gzip.compress(body, 1, mtime=0) if coding == "gzip" else zlib.compress(body, 1)
    response.headers["content-encoding"] = coding
    response.headers["vary"] = "accept-encoding"
    response.headers["content-length"] = str(len(response.body))
    return response
