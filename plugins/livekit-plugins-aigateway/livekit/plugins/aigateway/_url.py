"""Addresses: joined, given their query, and never printed with a password."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit, urlunsplit

from livekit.agents.types import NotGivenOr
from livekit.agents.utils import is_given

from .log import logger

DEFAULT_BASE_URL = "https://api.aigateway.sh/v1"
_WS_OF_HTTP = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_OF_WS = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

Query = Sequence[tuple[str, str]]


def resolve_base_url(base_url: NotGivenOr[str]) -> str:
    """The argument, else ``AIGATEWAY_BASE_URL``, else the public gateway; always http(s).

    Raises:
        ValueError: It is no http(s) or ws(s) address. The message does not repeat it.
    """
    raw = base_url if is_given(base_url) else os.environ.get("AIGATEWAY_BASE_URL", "")
    try:
        parts = urlsplit(raw.strip() or DEFAULT_BASE_URL)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in _HTTP_OF_WS:
        raise ValueError("base_url must be an http(s) address such as " + DEFAULT_BASE_URL)
    if parts.username or parts.password:
        # a request has one Authorization header and ours carries the key
        logger.warning("credentials inside base_url are ignored: pass the key as api_key")
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc += f":{port}"
    return urlunsplit((_HTTP_OF_WS[parts.scheme], netloc, parts.path.rstrip("/"), "", ""))


def resolve_api_key(api_key: NotGivenOr[str]) -> str:
    """The argument, else ``AIGATEWAY_API_KEY``.

    Raises:
        ValueError: Neither is set.
    """
    key = api_key if is_given(api_key) else os.environ.get("AIGATEWAY_API_KEY", "")
    if not key.strip():
        raise ValueError(
            "AIgateway API key is required, either as api_key or in the environment variable "
            "AIGATEWAY_API_KEY"
        )
    return key.strip()


def http_url(base_url: str, path: str) -> str:
    """``base_url`` joined with ``path``."""
    return f"{base_url}{path}"


def ws_url(base_url: str, path: str, query: Query) -> str:
    """The WebSocket address of ``path`` with its query options."""
    parts = urlsplit(base_url)
    return urlunsplit(
        (_WS_OF_HTTP[parts.scheme], parts.netloc, parts.path + path, urlencode(list(query)), "")
    )


def auth_headers(api_key: str, tag: str) -> dict[str, str]:
    """The headers of every request: the key, and the label its cost is booked under."""
    return {"Authorization": f"Bearer {api_key}", "x-aig-tag": tag}
