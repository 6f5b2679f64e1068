"""Bodies of requests: bounded before they are inflated or parsed, and JSON without its traps."""

from __future__ import annotations

import asyncio
import json
import math
import re
import zlib
from collections.abc import Iterator
from typing import Any, NoReturn

from starlette.requests import Request

from policyd.errors import DeadlineExceeded, Exhausted, InvalidArgument
from policyd_server.http import fields
from policyd_server.http.admission import Share

MIB = 2**20
#: The largest JSON text, in bytes. A text is parsed in one go, and all other requests wait
#: meanwhile.
MAX_JSON_BYTES = 16 * MIB
STALL_SECONDS = 30.0  # between two parts of a body
_INFLATERS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_STEP = 256 * 1024  # bytes inflated at a time


async def read(request: Request, limit: int) -> bytes:
    """Returns the body, inflated.

    Raises Exhausted if it has more than `limit` bytes, or if all requests together hold too many.
    Raises DeadlineExceeded if no more of it arrives, and Unauthenticated if a large one comes
    without credentials.
    """
    share: Share = request.state.share
    told = request.headers.get("content-length", "0")
    if told.isascii() and told.isdecimal() and (len(told) > 18 or int(told) > limit):
        _refuse(limit)
    if told.isascii() and told.isdecimal():
        share.expect(request, int(told))
    body = bytearray()
    more = True
    while more:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                part = await request.receive()
        except TimeoutError:
            raise DeadlineExceeded(f"nothing of the body arrived for {STALL_SECONDS:g} s") from None
        if part["type"] == "http.disconnect":
            raise DeadlineExceeded("the client closed the connection before the whole body had arrived")
        share.take(request, len(part["body"]))
        body += part["body"]
        more = part["more_body"]
        if len(body) > limit:
            _refuse(limit)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    whole = _inflated(bytes(body), coding, limit)
    share.take(request, max(0, len(whole) - len(body)))
    return whole


def json_of(text: bytes, what: str = "body") -> dict[str, Any]:
    """Returns the JSON object of a body.

    Raises InvalidArgument if it is not an object, or has NaN, infinities, huge numbers, or a name
    that is not Unicode.
    """
    if len(text) > MAX_JSON_BYTES:
        _refuse(MAX_JSON_BYTES)
    try:
        may_overflow = _EXPONENT if len(text) < DIGITS else _MAY_OVERFLOW
        decoder = _CAREFUL if may_overflow.search(text) else _QUICK
        value = decoder.decode(text.decode("utf-8-sig"))
        for name in _names(value) if _MAY_BE_HALF.search(text) else ():
            fields.text(name, f"{what}: a name")
    except RecursionError:
        raise InvalidArgument.of(what, got="JSON nested too deeply", wanted="fewer levels") from None
    except UnicodeDecodeError:
        raise InvalidArgument.of(what, got="bytes that are not UTF-8", wanted="JSON in UTF-8") from None
    except ValueError as error:
        raise InvalidArgument.of(what, got=f"no JSON: {error}", wanted="a JSON object") from None
    if not isinstance(value, dict):
        raise InvalidArgument.of(what, got=f"a JSON {_kind(value)}", wanted="a JSON object")
    return value


def _names(value: object) -> Iterator[str]:
    """Yields the names in all objects of a JSON value."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _names(each)


def _kind(value: object) -> str:
    kinds = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is too large for a number")
    return number


# A number can overflow only if it has an exponent or hundreds of digits. Checking each number would
# take ten times as long as parsing it.
DIGITS = 300
_EXPONENT = re.compile(rb"[0-9.][eE]")
_MAY_OVERFLOW = re.compile(rb"[0-9.][eE]|[0-9]{%d}" % DIGITS)
# An escape of a surrogate. Without its other half it is no character.
_MAY_BE_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_QUICK = json.JSONDecoder(parse_constant=_no_constant)
_CAREFUL = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _inflated(body: bytes, coding: str, limit: int) -> bytes:
    """Returns the body without its content coding. It never inflates more than `limit` bytes."""
    if coding in ("identity", ""):
        return body
    if coding not in _INFLATERS:
        raise InvalidArgument.of("content-encoding", got=repr(coding), wanted="gzip, deflate or identity")
    inflater = zlib.decompressobj(_INFLATERS[coding])
    whole = bytearray()
    try:
        while body and not inflater.eof:
            whole += inflater.decompress(body, _STEP)
            body = inflater.unconsumed_tail
            if len(whole) > limit:
                _refuse(limit)
        whole += inflater.flush()
    except zlib.error as error:
        raise InvalidArgument.of("body", got=f"broken {coding}: {error}", wanted=f"valid {coding}") from None
    if not inflater.eof:
        raise InvalidArgument.of("body", got=f"a part of a {coding} stream", wanted="the whole")
    return bytes(whole)


def _refuse(limit: int) -> NoReturn:
    message = f"body: more than {limit} bytes, the limit of this path"
    raise Exhausted(message, retry_after=math.inf, reason="BODY_TOO_LARGE")
