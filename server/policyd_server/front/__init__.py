"""The front: HTTP/2 and gRPC in C (nghttp2, OpenSSL), in the thread that computes.

hatch_build.py compiles it where gcc, Python.h and the headers of nghttp2, OpenSSL and zlib are.
Without it grpc.aio serves alone and gives the same answers.
"""

from importlib.util import find_spec

# Kind, call, method (-1: of no call), message, size of a message that is too large.
Event = tuple[int, int, int, bytes | None, int]

_MODULES = ("binding", "recogniser", "in_place")
AVAILABLE = all(find_spec(f"{__name__}.{module}") is not None for module in _MODULES)
