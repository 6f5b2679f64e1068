"""Google Cloud Storage's XML API in front of an emulator that has the JSON API only.

The library of the object storage speaks the XML API; Google's own emulator has the JSON API, and of
the XML API neither listing nor deleting. Each request is translated from the one documented form to
the other. What is in the store, and whether a condition holds, is decided by the emulator alone.
What has no translation here is refused (501).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.gcs_json import BUCKETS, Answer, Emulator
from tests.listening import Listening

GENERATION_MATCH = "x-goog-if-generation-match"
LISTED = {"list-type", "prefix", "delimiter"}  # parameters of a listing that are translated


class XmlServer(Listening):
    """Listens on loopback and translates requests for as long as the process lives."""

    def __init__(self, emulator: Emulator, key: RSAPublicKey) -> None:
        """`key`: of the service account that signs the token of every request."""
        self._emulator, self._key = emulator, key
        super().__init__(lambda request: _send(request, self.answer(request)))

    def answer(self, request: BaseHTTPRequestHandler) -> Answer:
        """Responds to one request of the XML API."""
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if not self._is_signed(request.headers.get("Authorization", "")):
            return Answer(HTTPStatus.UNAUTHORIZED)
        where = urlsplit(request.path)
        bucket, _, key = where.path.lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(where.query).items()}
        if not _is_translated(request, key, query):
            return Answer(HTTPStatus.NOT_IMPLEMENTED)
        if not key:
            return self._list(bucket, query)
        if request.command == "PUT":
            return self._put(bucket, unquote(key), body, request.headers)
        path = f"{BUCKETS}/{bucket}/o/{quote(unquote(key), safe='')}"
        if request.command == "DELETE":
            return _without_body(self._emulator.send("DELETE", path))
        return self._get(path, request)

    def _is_signed(self, authorization: str) -> bool:
        """Whether it is a token that the service account signed (RS256)."""
        signed, _, signature = authorization.removeprefix("Bearer ").rpartition(".")
        try:
            decoded = base64.urlsafe_b64decode(signature + "==")
            self._key.verify(decoded, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _put(self, bucket: str, key: str, body: bytes, headers: Any) -> Answer:
        query = {"uploadType": "media", "name": key}
        if GENERATION_MATCH in headers:
            query["ifGenerationMatch"] = headers[GENERATION_MATCH]
        kind = {"Content-Type": headers.get("Content-Type", "application/octet-stream")}
        written = self._emulator.send("POST", f"/upload{BUCKETS}/{bucket}/o", query, body, kind)
        if written.status != HTTPStatus.OK:
            return _without_body(written)
        return Answer(HTTPStatus.OK, headers=_described(written.resource))

    def _get(self, path: str, request: BaseHTTPRequestHandler) -> Answer:
        """Asks for what describes the object, then for the bytes of exactly that generation."""
        found = self._emulator.send("GET", path)
        if found.status != HTTPStatus.OK:
            return _without_body(found)
        headers = _described(found.resource)
        if request.command == "HEAD":
            return Answer(HTTPStatus.OK, headers={**headers, "Content-Length": _size(found.resource)})
        wanted = {"Range": request.headers["Range"]} if "Range" in request.headers else {}
        query = {"alt": "media", "generation": found.resource["generation"]}
        media = self._emulator.send("GET", path, query, headers=wanted)
        if media.status == HTTPStatus.PARTIAL_CONTENT:
            headers["Content-Range"] = media.headers["Content-Range"]
        return Answer(media.status, media.content, headers) if media.status < 300 else _without_body(media)

    def _list(self, bucket: str, query: Mapping[str, str]) -> Answer:
        wanted = {name: value for name, value in query.items() if name != "list-type"}
        listed = self._emulator.send("GET", f"{BUCKETS}/{bucket}/o", wanted)
        if listed.status != HTTPStatus.OK:
            return _without_body(listed)
        assert "nextPageToken" not in listed.resource, "pages are not translated"
        root = ElementTree.Element("ListBucketResult", xmlns="http://doc.s3.amazonaws.com/2006-03-01")
        _add(root, Name=bucket, Prefix=query.get("prefix", ""), IsTruncated="false")
        for item in listed.resource.get("items", []):
            _add(
                ElementTree.SubElement(root, "Contents"),
                Key=item["name"],
                Generation=item["generation"],
                MetaGeneration=item["metageneration"],
                LastModified=item["updated"],
                ETag=_etag(item),
                Size=_size(item),
            )
        for prefix in listed.resource.get("prefixes", []):
            _add(ElementTree.SubElement(root, "CommonPrefixes"), Prefix=prefix)
        return Answer(HTTPStatus.OK, ElementTree.tostring(root), {"Content-Type": "application/xml"})


def _is_translated(request: BaseHTTPRequestHandler, key: str, query: Mapping[str, str]) -> bool:
    """Whether all of a request has a translation."""
    conditions = {name.lower() for name in request.headers if "if-" in name.lower()}
    if not key:
        return request.command == "GET" and "list-type" in query and query.keys() <= LISTED and not conditions
    allowed = {GENERATION_MATCH} if request.command == "PUT" else set()
    return request.command in {"GET", "HEAD", "PUT", "DELETE"} and not query and conditions <= allowed


def _add(parent: ElementTree.Element, **texts: str) -> None:
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = text


def _etag(resource: Mapping[str, str]) -> str:
    """The XML API's ETag of an object that was written by one request: the MD5 of its content."""
    return f'"{base64.b64decode(resource["md5Hash"]).hex()}"'


def _size(resource: Mapping[str, str]) -> str:
    return resource.get("size", "0")  # the emulator leaves out what is 0


def _described(resource: Mapping[str, str]) -> dict[str, str]:
    """The XML API's headers of an object."""
    return {
        "ETag": _etag(resource),
        "Last-Modified": format_datetime(datetime.fromisoformat(resource["updated"]), usegmt=True),
        "x-goog-generation": resource["generation"],
        "x-goog-metageneration": resource["metageneration"],
    }


def _without_body(answer: Answer) -> Answer:
    """The status alone. The bodies of the two forms differ, and the library reads none of them."""
    return Answer(answer.status)


def _send(request: BaseHTTPRequestHandler, answer: Answer) -> None:
    request.send_response(answer.status)
    headers = {"Content-Length": str(len(answer.content)), **answer.headers}
    for name, value in headers.items():
        if answer.status != HTTPStatus.NO_CONTENT or name != "Content-Length":
            request.send_header(name, value)
    request.end_headers()
    request.wfile.write(answer.content)
