"""What can go wrong, and whether trying again can help.

Everything derives from LiveKit's own errors, so that the framework's retries, its
FallbackAdapters and its error events work without knowing these plugins::

    livekit.agents.APIError              .retryable is the verdict, and the only one
    ├── ProtocolError                    the peer broke the wire form; another connection may help
    ├── NoAudioError                     the peer took text and ended without a byte of audio
    ├── PacedOutError                    the account's own pace leaves no room in time
    ├── APIStatusError                   an HTTP status or a WebSocket close code
    │   └── StatusError                  an HTTP status, with the Retry-After that came with it
    └── APIConnectionError               no connection, or no longer one
        ├── ConnectionLostError          a live connection ended without a close frame
        └── APITimeoutError              nothing came in time
            └── StalledError             a live connection fell silent while an answer was owed

No text from the peer and no URL ever enters a message: a server may echo a key, and a request
carries what people said. What is kept is a status, a close code, and an error code of a harmless
shape.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus

import aiohttp
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

_SAFE_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,47}\Z")

_STATUS_OF_CODE = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "unauthorized": 401,
    "insufficient_quota": 402,
    "payment_required": 402,
    "forbidden": 403,
    "permission_denied": 403,
    "model_not_found": 404,
    "not_found": 404,
    "bad_request": 400,
    "invalid_request_error": 400,
    "rate_limit_exceeded": 429,
    "rate_limited": 429,
    "too_many_requests": 429,
    "internal_error": 500,
    "server_error": 500,
    "overloaded": 503,
    "unavailable": 503,
    "timeout": 504,
}
"""HTTP status that a named error code stands for; a code that is not here says nothing."""

_CLOSE_UNSUPPORTED_DATA = 1003
_CLOSE_POLICY_VIOLATION = 1008
_FINAL_CLOSE_CODES = frozenset({_CLOSE_UNSUPPORTED_DATA, _CLOSE_POLICY_VIOLATION})
"""Close codes that the same request would meet again."""


class ProtocolError(APIError):
    """The peer sent something that the wire form does not allow."""

    def __init__(self, reason: str, *, retryable: bool = True) -> None:
        super().__init__(f"the gateway broke the protocol: {reason}", retryable=retryable)


class NoAudioError(APIError):
    """The peer accepted text and ended without any audio."""

    def __init__(self) -> None:
        super().__init__("the gateway sent no audio for the text", retryable=True)


class PacedOutError(APIError):
    """The pace set for an account leaves no room for a request in time; it was not sent."""

    def __init__(self, *, requests_per_s: float, wait_s: float) -> None:
        super().__init__(
            f"not sent: at {requests_per_s:g} requests a second, which is the pace set here, it "
            f"would have waited {wait_s:.1f} s",
            retryable=False,
        )


class StatusError(APIStatusError):
    """An HTTP status, and the wait that the peer asked for with it."""

    retry_after_s: float | None = None
    """Seconds of a ``Retry-After``; None: there was none that is a number of seconds."""


class ConnectionLostError(APIConnectionError):
    """A live connection ended without a close frame."""

    def __init__(self, detail: str = "no close frame") -> None:
        super().__init__(f"gateway connection lost ({detail})")


class StalledError(APITimeoutError):
    """A live connection fell silent while an answer was owed."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"the gateway fell silent ({detail})")


def exhausted(error: APIError, what: str) -> APIError:
    """The same failure once a plugin has used up its own retries.

    It is final, so that the framework's loop does not multiply them.
    """
    if isinstance(error, APIStatusError):
        return APIStatusError(
            f"{error.message}; {what}", status_code=error.status_code, retryable=False
        )
    if isinstance(error, APITimeoutError):
        return APITimeoutError(f"{error.message}; {what}", retryable=False)
    return APIConnectionError(f"{error.message}; {what}", retryable=False)


def from_status(
    status: int,
    *,
    what: str,
    request_id: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> StatusError:
    """The error for an HTTP status; 4xx other than 408, 429 and 499 are final by LiveKit's rule."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "unknown status"
    message = f"gateway {what}: {status} {phrase}"
    if code is not None and _SAFE_CODE.match(code):
        message += f" ({code})"
    if status == HTTPStatus.UNAUTHORIZED:
        message += "; check the API key"
    # a redirect is refused because it would carry the key elsewhere; asking again changes nothing
    retryable = not 300 <= status < 400
    error = StatusError(message, status_code=status, request_id=request_id, retryable=retryable)
    error.retry_after_s = retry_after_s((headers or {}).get("Retry-After", ""))
    return error


def retry_after_s(value: str) -> float | None:
    """Seconds of a ``Retry-After`` header; ``None`` when it is no whole number of seconds.

    Digits only: a date, a sign or a fraction is treated as if the header were absent.
    """
    value = value.strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < 8 else None


def retry_after_of(error: APIError) -> float | None:
    """Seconds that the peer asked to wait; ``None`` when it did not."""
    return error.retry_after_s if isinstance(error, StatusError) else None


def from_close_code(code: int | None) -> APIError:
    """The error for a WebSocket that closed while it was needed.

    4400 to 4499 are read as the HTTP status they imitate, a habit of many gateways.
    """
    if code is None or code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        return ConnectionLostError()
    if 4400 <= code < 4500:
        return from_status(code - 4000, what="closed the connection")
    return APIStatusError(
        f"the gateway closed the connection: close code {code}",
        status_code=code,
        retryable=code not in _FINAL_CLOSE_CODES,
    )


def from_envelope(
    *, code: str | None, status: int | None, recoverable: bool | None, request_id: str | None = None
) -> APIError:
    """The error for an error message that came over a live socket."""
    if status is None and code is not None:
        status = (
            int(code) if re.fullmatch(r"[1-5]\d\d", code) else _STATUS_OF_CODE.get(code.lower())
        )
    if status is not None:
        error: APIError = from_status(
            status, what="reported an error", request_id=request_id, code=code
        )
    else:
        suffix = f" ({code})" if code is not None and _SAFE_CODE.match(code) else ""
        error = APIError(f"the gateway reported an error{suffix}", retryable=True)
    if recoverable is False:
        error.retryable = False
    return error


def from_transport(exc: BaseException, *, what: str) -> APIError:
    """The error for anything that aiohttp or the system raised.

    The result must be raised ``from None``: aiohttp's errors hold the request and so the key.
    """
    if isinstance(exc, APIError):
        return exc
    if isinstance(exc, asyncio.TimeoutError):
        return APITimeoutError(f"gateway {what}: timed out")
    if isinstance(exc, aiohttp.ClientResponseError):
        return from_status(exc.status, what=what, headers=exc.headers)
    name = type(exc).__name__
    if isinstance(exc, (ssl.SSLError, aiohttp.ClientSSLError, aiohttp.InvalidURL, ValueError)):
        # a certificate or an address that is wrong now is wrong on the next try
        return APIConnectionError(f"gateway {what}: {name}", retryable=False)
    return APIConnectionError(f"gateway {what}: {name}")
