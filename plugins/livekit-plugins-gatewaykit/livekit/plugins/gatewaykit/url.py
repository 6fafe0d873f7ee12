"""Addresses: joined, given their query, and never printed with a password."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit, urlunsplit

from livekit.agents.types import NotGivenOr
from livekit.agents.utils import is_given

from .keys import KeyRing
from .log import logger

_WS_OF_HTTP = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_OF_WS = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where a gateway is and which environment variables say so."""

    name: str
    """As people write it; what a plugin reports as its provider."""
    default_base_url: str
    base_url_variable: str
    api_key_variable: str


def resolve_base_url(base_url: NotGivenOr[str], account: Account) -> str:
    """The argument, else the environment's, else the public gateway; always http(s).

    Raises:
        ValueError: It is no http(s) or ws(s) address. The message does not repeat it.
    """
    raw = base_url if is_given(base_url) else os.environ.get(account.base_url_variable, "")
    try:
        parts = urlsplit(raw.strip() or account.default_base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in _HTTP_OF_WS:
        raise ValueError("base_url must be an http(s) address such as " + account.default_base_url)
    if parts.username or parts.password:
        # a request has one Authorization header and ours carries the key
        logger.warning("credentials inside base_url are ignored: pass the key as api_key")
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc += f":{port}"
    return urlunsplit((_HTTP_OF_WS[parts.scheme], netloc, parts.path.rstrip("/"), "", ""))


def resolve_keys(api_key: NotGivenOr[str | KeyRing], account: Account) -> KeyRing:
    """The argument's keys, else the environment's; several are separated by commas.

    Raises:
        ValueError: Neither is set.
    """
    if isinstance(api_key, KeyRing):
        return api_key
    keys = api_key if is_given(api_key) else os.environ.get(account.api_key_variable, "")
    if not keys.replace(",", "").strip():
        raise ValueError(
            f"{account.name} API key is required, either as api_key or in the environment "
            f"variable {account.api_key_variable}"
        )
    return KeyRing(keys.split(","), provider=account.name)


def http_url(base_url: str, path: str) -> str:
    """``base_url`` joined with ``path``."""
    return f"{base_url}{path}"


def ws_url(base_url: str, path: str, query: Query) -> str:
    """The WebSocket address of ``path`` with its query options."""
    parts = urlsplit(base_url)
    return urlunsplit(
        (_WS_OF_HTTP[parts.scheme], parts.netloc, parts.path + path, urlencode(list(query)), "")
    )


def bearer(api_key: str) -> dict[str, str]:
    """The header that carries the key."""
    return {"Authorization": f"Bearer {api_key}"}
