"""URLs of object storage: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`.

Settings follow behind a question mark, so that one text says all to servers, trainers and commands:

    endpoint     URL of a server that speaks the cloud's protocol, such as http://127.0.0.1:8333
    region       of the bucket, where the environment does not say it
    sse          server-side encryption: AES256, aws:kms or aws:kms:dsse
    sse_kms_key  the key of aws:kms

Credentials are never part of it: they come from the environment, instance roles or workload
identity, as each cloud's own tools find them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from policyd.errors import FailedPrecondition, InvalidArgument
from policyd.repository.object_client import ObjectClient
from policyd.runtime.no_proxy import except_loopback

SCHEMES = ("s3", "gs", "az")
ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
# By scheme: obstore's name for each setting.
_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "endpoint": "endpoint",
        "region": "region",
        "sse": "server_side_encryption",
        "sse_kms_key": "sse_kms_key_id",
    },
    "gs": {"endpoint": "base_url"},
    "az": {"endpoint": "endpoint"},
}

# All variables from which obstore takes the endpoint if the URL has none.
_ENDPOINT_VARIABLES = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
    "GOOGLE_BASE_URL",
)


def open_objects(url: str, *, connect_seconds: float = 5.0, retry_seconds: float = 20.0) -> ObjectClient:
    """Returns the client for the objects at a URL. Nothing is sent yet.

    Raises:
        InvalidArgument: the URL has credentials, an unknown setting, or no bucket.
        FailedPrecondition: the package obstore is not installed.
    """
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if "@" in parts.netloc:
        wanted = "no credentials in the URL: they come from the environment or the machine's role"
        raise InvalidArgument.of("repository", got=f"credentials for {where}", wanted=wanted)
    if not parts.netloc:
        wanted = f"{parts.scheme}://BUCKET/PREFIX"
        raise InvalidArgument.of("repository", got=repr(where), wanted=wanted)
    config = _config(parts.scheme, parts.query)
    except_loopback()  # obstore reads the proxy from the environment
    try:
        from obstore.store import from_url  # noqa: PLC0415 -- an extra
    except ImportError as error:
        message = f"{where} needs the package obstore: pip install 'policyd[objectstore]'"
        raise FailedPrecondition(message, reason="NO_OBSTORE") from error
    from_environment = (os.environ.get(name, "") for name in _ENDPOINT_VARIABLES)
    is_plain = any(value.startswith("http:") for value in (*config.values(), *from_environment))
    plain: dict[str, Any] = {"allow_http": True} if is_plain else {}
    client_options = {
        **plain,
        "connect_timeout": timedelta(seconds=connect_seconds),
        "timeout": timedelta(seconds=60),
    }
    backoff = {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=2), "base": 2}
    retries: Any = {
        "max_retries": 5,
        "retry_timeout": timedelta(seconds=retry_seconds),
        "backoff": backoff,
    }
    store = from_url(where, config=config, client_options=client_options, retry_config=retries)  # type: ignore[call-overload]  # one overload per cloud
    return ObjectClient(store, url)


def child(url: str, name: str) -> str:
    """Returns the URL of `name` below `url`, with the same settings."""
    where, mark, settings = url.partition("?")
    return f"{where.rstrip('/')}/{name}{mark}{settings}"


def _config(scheme: str, query: str) -> dict[str, str]:
    known = _SETTINGS[scheme]
    config: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            wanted = f"settings of {scheme}://: {', '.join(known)}"
            raise InvalidArgument.of("repository", got=f"?{name[:40]}=", wanted=wanted)
        if name == "sse" and value not in ENCRYPTIONS:
            raise InvalidArgument.of("repository", got=f"sse={value[:40]}", wanted=" or ".join(ENCRYPTIONS))
        config[known[name]] = value
    return config
