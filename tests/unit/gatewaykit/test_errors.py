"""One verdict for everything that can go wrong."""

from __future__ import annotations

import ssl

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError
from livekit.plugins.gatewaykit import errors
from livekit.plugins.gatewaykit.retry import is_retryable
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_URL = URL("http://user:canary@h/")
REQUEST = aiohttp.RequestInfo(
    _URL, "GET", CIMultiDictProxy(CIMultiDict({"Authorization": "Bearer canary"})), _URL
)
_FINAL = [307, 400, 401, 402, 403, 404]
_TRANSIENT = [408, 429, 500, 503, 599]


@pytest.mark.parametrize("status", _FINAL + _TRANSIENT)
def test_statuses(status: int) -> None:
    error = errors.from_status(status, what="handshake failed")
    assert error.status_code == status
    assert is_retryable(error) is (status in _TRANSIENT)


def test_a_refused_key_says_what_to_check() -> None:
    assert "check the API key" in str(errors.from_status(401, what="x"))


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (None, errors.ConnectionLostError, True),
        (1006, errors.ConnectionLostError, True),
        (1000, APIStatusError, True),
        (1011, APIStatusError, True),
        (1009, APIStatusError, True),
        (1008, APIStatusError, False),
        (1003, APIStatusError, False),
        (4401, APIStatusError, False),
        (4429, APIStatusError, True),
    ],
)
def test_close_codes(code: int | None, kind: type[APIError], retryable: bool) -> None:
    error = errors.from_close_code(code)
    assert isinstance(error, kind)
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("exc", "kind", "retryable"),
    [
        (TimeoutError(), APITimeoutError, True),
        (ConnectionRefusedError(), APIConnectionError, True),
        (aiohttp.ServerDisconnectedError(), APIConnectionError, True),
        (ssl.SSLError("canary"), APIConnectionError, False),
        (aiohttp.InvalidURL("http://canary"), APIConnectionError, False),
        (aiohttp.WSServerHandshakeError(REQUEST, (), status=401), APIStatusError, False),
        (aiohttp.WSServerHandshakeError(REQUEST, (), status=503), APIStatusError, True),
        (errors.NoAudioError(), errors.NoAudioError, True),
    ],
)
def test_transport_errors(exc: Exception, kind: type[APIError], retryable: bool) -> None:
    error = errors.from_transport(exc, what="failed")
    assert isinstance(error, kind)
    assert error.retryable is retryable
    assert "canary" not in repr(error)


@given(st.text(max_size=80))
def test_codes_of_a_peer_enter_a_message_only_in_a_harmless_shape(code: str) -> None:
    message = str(errors.from_envelope(code=code, status=None, recoverable=None))
    assert message.isprintable()
    assert len(message) < 200


def test_used_up_retries_are_final_and_keep_their_kind() -> None:
    final = errors.exhausted(errors.from_status(503, what="x"), "gave up")
    assert isinstance(final, APIStatusError)
    assert not final.retryable
    assert isinstance(errors.exhausted(errors.StalledError("x"), "gave up"), APITimeoutError)
