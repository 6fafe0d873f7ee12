"""The headers that keep a page to itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def security_headers(livekit_url: str) -> dict[str, str]:
    """Headers of every answer. The page may talk to its own server and to `livekit_url` only."""
    media = urlsplit(livekit_url)
    encrypted = media.scheme in ("wss", "https")
    # The client checks over HTTP why a WebSocket was refused.
    schemes = ("wss", "https") if encrypted else ("ws", "http")
    servers = " ".join(f"{scheme}://{media.netloc}" for scheme in schemes)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {servers}",
        "media-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "microphone=(self), speaker-selection=(self), camera=(), "
        "geolocation=(), display-capture=(), payment=(), usb=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def with_headers(headers: dict[str, str]) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A middleware that puts `headers` on every answer, errors included."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            answer = await handler(request)
        except web.HTTPException as e:
            _add(e.headers, headers)
            raise
        _add(answer.headers, headers)
        return answer

    return middleware


def _add(present: object, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        present.setdefault(name, value)  # type: ignore[attr-defined]  # a CIMultiDict
