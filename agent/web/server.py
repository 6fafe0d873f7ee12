"""The web server: the page as files, and the token endpoint in LiveKit's standard form.

`POST /api/token` takes what `TokenSource.endpoint` of LiveKit's clients sends and answers 201 with
`server_url` and `participant_token`. What a client asks to be allowed or to be called is ignored.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import math
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ..config import ConfigError, Settings, WebSettings
from .headers import Handler, security_headers, with_headers
from .limits import RateLimit
from .tokens import ResumeRefused, Seat, TokenMint

logger = logging.getLogger("parley.web")

PAGE = Path(__file__).resolve().parents[2] / "web" / "dist"
"""Where `npm run build` puts the page."""

_NOT_BUILT = "the page has not been built. Install Node.js 20.19 or newer and run `make setup`."
_SHUTDOWN_TIMEOUT_S = 2.0
_FOREVER = "public, max-age=31536000, immutable"


class WebServer:
    """Serves the page and its tokens. Use as an async context manager.

    Args:
        settings: The media server, its key and the limits.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        page: Folder of the built page.

    Raises:
        ConfigError: The port is taken, or the settings hold the development key.
    """

    def __init__(
        self, *, settings: Settings, host: str = "127.0.0.1", port: int = 0, page: Path = PAGE
    ) -> None:
        if settings.uses_dev_credentials():
            raise ConfigError(
                "The web server hands out tokens and does not do so with the development key, "
                "which anybody can forge. Set LIVEKIT_URL, LIVEKIT_API_KEY and "
                "LIVEKIT_API_SECRET, or run `make demo`, which makes a key of its own."
            )
        self._host = host
        self._port = port
        self._page = page
        self._runner = web.AppRunner(
            build_app(settings=settings, page=page, loopback=_is_loopback(host)),
            access_log=None,  # it would hold the callers' addresses
            shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
        )

    @property
    def has_page(self) -> bool:
        """Whether the page has been built."""
        return (self._page / "index.html").is_file()

    @property
    def url(self) -> str:
        """Where to open the page."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/"

    async def __aenter__(self) -> WebServer:
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except OSError as e:
            await self._runner.cleanup()
            raise ConfigError(
                f"Cannot listen on {self._host}, port {self._port}: {e.strerror}. "
                "Choose another with --port."
            ) from None
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def build_app(*, settings: Settings, page: Path, loopback: bool) -> web.Application:
    """The application: token endpoint, page, widget and health."""
    app = web.Application(
        client_max_size=settings.web.max_body_bytes,
        middlewares=[with_headers(security_headers(settings.browser_livekit_url)), _refusals],
    )
    tokens = _TokenEndpoint(settings=settings, loopback=loopback)
    files = _Page(page)
    app.router.add_post("/api/token", tokens.post)
    app.router.add_options("/api/token", tokens.preflight)
    app.router.add_get("/healthz", _health)
    app.router.add_get("/", files.index)
    app.router.add_get("/widget.js", files.widget)
    if (page / "assets").is_dir():
        app.router.add_static("/assets", page / "assets")
    app.on_response_prepare.append(_cache)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Refused as e:
        return e.answer


async def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Raises `ConfigError` as `WebServer`."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with WebServer(settings=settings, host=host, port=port) as server:
        if server.has_page:
            logger.info("Talk at %s", server.url)
        else:
            logger.warning("Tokens only, at %sapi/token: %s", server.url, _NOT_BUILT)
        await stop.wait()


class _TokenEndpoint:
    def __init__(self, *, settings: Settings, loopback: bool) -> None:
        self._settings = settings
        self._web: WebSettings = settings.web
        self._mint = TokenMint(settings=settings)
        self._rate = RateLimit(per_minute=settings.web.tokens_per_minute)
        self._loopback = loopback

    async def post(self, request: web.Request) -> web.Response:
        cors = self._cors(request)
        wait_s = self._rate.wait_s(self._address(request))
        if wait_s:
            headers = cors | {"Retry-After": str(math.ceil(wait_s))}
            raise _Refused(429, "too many calls from this address", headers)
        asked = await _json_object(request, cors)
        seat = self._seat(asked, cors)
        answer = {
            "server_url": self._settings.browser_livekit_url,
            "participant_token": self._mint.participant_token(seat),
            "resume_token": self._mint.resume_token(seat),
            "resume_within_s": self._settings.caller_return_s,
            "agent_within_s": self._web.agent_timeout_s,
        }
        return web.json_response(answer, status=201, headers=cors)

    async def preflight(self, request: web.Request) -> web.Response:
        cors = self._cors(request)
        return web.Response(
            status=204,
            headers=cors
            | {
                "Access-Control-Allow-Methods": "POST",
                "Access-Control-Allow-Headers": "Content-Type",
                "Access-Control-Max-Age": "600",
            },
        )

    def _cors(self, request: web.Request) -> dict[str, str]:
        """The headers for another site's page. Raises for a site that is not on the list."""
        host = request.host
        if self._loopback and not _is_loopback(urlsplit(f"//{host}").hostname or ""):
            # A name that an attacker has pointed at this machine (DNS rebinding).
            raise _Refused(403, "this server answers under its own address only")
        origin = request.headers.get("Origin")
        if origin is None or urlsplit(origin).netloc == host:
            return {}
        if origin not in self._web.origins:
            raise _Refused(403, "pages of this origin are not allowed (AGENT_WEB_ALLOWED_ORIGINS)")
        return {
            "Access-Control-Allow-Origin": origin,
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Origin",
        }

    def _address(self, request: web.Request) -> str:
        """Who asks. Behind a proxy of ours: the address that the proxy saw."""
        forwarded = request.headers.get("X-Forwarded-For", "")
        if self._web.behind_proxy and forwarded:
            return forwarded.rsplit(",", 1)[-1].strip()
        return request.remote or ""

    def _seat(self, asked: dict[str, Any], cors: dict[str, str]) -> Seat:
        resume = asked.get("resume_token")
        if resume is None:
            return Seat.new()
        try:
            return self._mint.seat_of(resume if isinstance(resume, str) else "")
        except ResumeRefused:
            raise _Refused(
                410, "that call can no longer be continued; start a new one", cors
            ) from None


class _Page:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def index(self, request: web.Request) -> web.StreamResponse:
        return self._file("index.html")

    async def widget(self, request: web.Request) -> web.StreamResponse:
        answer = self._file("widget.js")
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return answer

    def _file(self, name: str) -> web.StreamResponse:
        path = self._folder / name
        if not path.is_file():
            return web.Response(status=503, text=f"{_NOT_BUILT}\n")
        return web.FileResponse(path)


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _cache(request: web.Request, answer: web.StreamResponse) -> None:
    """Files under assets/ have their hash in their name; nothing else may be kept."""
    kept = request.path.startswith("/assets/") and answer.status in (200, 304)
    keep = _FOREVER if kept else "no-cache" if request.method == "GET" else "no-store"
    answer.headers.setdefault("Cache-Control", keep)


async def _json_object(request: web.Request, cors: dict[str, str]) -> dict[str, Any]:
    # A plain HTML form of another site cannot send this type without asking first.
    if request.content_type != "application/json":
        raise _Refused(415, "send JSON with Content-Type: application/json", cors)
    try:
        body = json.loads(await request.text())
    except web.HTTPRequestEntityTooLarge:
        raise _Refused(413, "the request is too large", cors) from None
    except (ValueError, RecursionError, LookupError):
        raise _Refused(400, "the body is not JSON", cors) from None
    if not isinstance(body, dict):
        raise _Refused(400, "the body is not a JSON object", cors)
    return body


class _Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, what: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(what)
        self.answer = web.json_response({"error": what}, status=status, headers=headers)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
