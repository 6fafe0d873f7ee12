"""The server: routes, the bearer key, errors as JSON, start and stop."""

from __future__ import annotations

import asyncio
import errno
import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType

import jwt
from aiohttp import WSCloseCode, web

from gateway.config import GatewayConfig
from gateway.engines.registry import EngineRegistry
from gateway.errors import (
    EngineUnavailable,
    GatewayError,
    ProtocolError,
    UnknownModel,
    UpstreamError,
)
from gateway.faults.http import (
    PLAN,
    delete_faults,
    fault_middleware,
    get_faults,
    put_faults,
)
from gateway.faults.plan import FaultPlan, load_script
from gateway.faults.transport import FaultProtocol
from gateway.stages.chat import chat_completions
from gateway.stages.context import CONTEXT, Context
from gateway.stages.pipeline import audio_pipeline, audio_realtime
from gateway.stages.speech import audio_speech, deepgram_speech, elevenlabs_speech
from gateway.stages.stt import deepgram_listen, inference_stt, stt_stream
from gateway.stages.tts import (
    deepgram_speak,
    elevenlabs_stream_input,
    inference_tts,
    tts_stream,
)
from gateway.stages.upload import deepgram_upload, stt_upload
from gateway.stats import Stats
from gateway.wire.openai_chat import error_object

logger = logging.getLogger("gateway")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_API = "/v1"
_ELEVEN = f"{_API}/text-to-speech/{{voice}}"
_ADMIN = "/admin"
_CLIENT_CLOSED_REQUEST = 499


class CannotListen(GatewayError):
    """The address that was asked for is taken, forbidden or not one of this machine's."""


def _error(status: int, message: str, *, kind: str, code: str | None = None) -> web.Response:
    return web.json_response(error_object(message, kind=kind, code=code), status=status)


def _has_key(request: web.Request, key: str) -> bool:
    """Whether a request has the key in one of the forms that the dialects use."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "token"):  # the second one is Deepgram's
        return _is_key(given.strip(), key) or _is_inference_token(given.strip(), key)
    return _is_key(request.headers.get("xi-api-key", ""), key)  # ElevenLabs'


def _is_key(given: str, key: str) -> bool:
    # Bytes: compare_digest refuses text outside ASCII, and the header may hold any.
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), key.encode())


def _is_inference_token(given: str, key: str) -> bool:
    """Whether this is LiveKit Inference's token, signed with the key as its secret."""
    try:
        claims = jwt.decode(given, key, algorithms=["HS256"], options={"require": ["exp"]})
    except jwt.PyJWTError:
        return False
    grant = claims.get("inference")
    return isinstance(grant, dict) and grant.get("perform") is True


def _is_local(request: web.Request) -> bool:
    """Whether the request comes from this machine, and not from a web page open on it."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    if not peer or not ipaddress.ip_address(peer[0].partition("%")[0]).is_loopback:
        return False
    # A page that rebound its name to 127.0.0.1 still sends its own name as Host, or an Origin.
    host = request.url.host or ""
    return "Origin" not in request.headers and host in ("127.0.0.1", "::1", "localhost")


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Let in who may come in."""
    config = request.app[CONTEXT].config
    if request.path.startswith(_ADMIN) and not _is_local(request):
        return _error(403, "only this machine may ask that", kind="permission_error")
    if (
        config.key is not None
        and request.path.startswith(_API)
        and not _has_key(request, config.key)
    ):
        response = _error(
            401,
            "the API key is missing or wrong",
            kind="authentication_error",
            code="invalid_api_key",
        )
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    return await handler(request)


def _upstream_error(error: UpstreamError) -> web.Response:
    response = _error(error.status, str(error), kind="upstream_error")
    if error.retry_after is not None:
        response.headers["Retry-After"] = error.retry_after
    return response


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer every error in OpenAI's form."""
    try:
        return await handler(request)
    except ProtocolError as error:
        return _error(400, str(error), kind="invalid_request_error")
    except UnknownModel as error:
        return _error(404, str(error), kind="invalid_request_error", code="model_not_found")
    except EngineUnavailable as error:
        return _error(503, str(error), kind="server_error", code="engine_unavailable")
    except UpstreamError as error:
        return _upstream_error(error)
    except web.HTTPException as error:
        return _error(error.status, error.reason, kind="invalid_request_error")
    except ConnectionError:
        # Nobody is left to answer. aiohttp finds that out by itself when it tries, whereas it takes
        # this error for a failure of the server.
        return web.Response(status=_CLIENT_CLOSED_REQUEST)
    except Exception:
        logger.exception("request failed")
        return _error(500, "the gateway failed", kind="server_error")


async def _models(request: web.Request) -> web.Response:
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0]}
        for name in request.app[CONTEXT].engines.names()
    ]
    return web.json_response({"object": "list", "data": data})


async def _stats(request: web.Request) -> web.Response:
    return web.json_response(request.app[CONTEXT].stats.snapshot())


class Gateway:
    """One running gateway.

    Use as `async with Gateway(config) as gateway`, or call `start` and `stop`. It serves on the
    event loop it was started on.

    Raises:
        ConfigError: if an alias, the sim script or the fault script is wrong.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.stats = Stats()
        self._engines = EngineRegistry(config)
        self._context = Context(config=config, engines=self._engines, stats=self.stats)
        self.faults = FaultPlan(self.stats)
        if config.faults is not None:
            self.faults.apply(load_script(config.faults))
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._ready = False

    @property
    def url(self) -> str:
        """Base URL of the API; known once the gateway has started."""
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        return f"http://{host}:{self._port}{_API}"

    async def start(self) -> None:
        """Listen, then load the models to be preloaded; `GET /health` tells when that is done.

        Raises:
            CannotListen: if the address is taken, forbidden, or not one of this machine's.
            EngineUnavailable: if a model to be preloaded cannot be loaded.
            UnknownModel: if there is no such model.
        """
        self._runner = web.AppRunner(
            self._app(),
            # A chat request must end with its client, also while nothing is being written to it.
            handler_cancellation=True,
            shutdown_timeout=self.config.shutdown_timeout_s,
            access_log=None,
        )
        await self._runner.setup()
        serve = self._runner.server
        assert serve is not None  # there is one after setup()
        try:
            # Not a TCPSite: faults need to stand between the connection and its protocol.
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: FaultProtocol(serve()), self.config.host, self.config.port
            )
        except OSError as error:
            await self.stop()
            taken = error.errno == errno.EADDRINUSE
            reason = "another program is in use of it" if taken else error.strerror
            raise CannotListen(
                f"cannot listen on {self.config.host} port {self.config.port}: {reason}"
            ) from None
        self._port = self._listener.sockets[0].getsockname()[1]
        try:
            await self._engines.preload(self.config.preload)
        except BaseException:
            await self.stop()
            raise
        self._ready = True

    async def stop(self) -> None:
        """Close all connections and let go of the port."""
        self._ready = False
        self.faults.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._engines.upstream is not None:
            await self._engines.upstream.aclose()
        self._engines.close()

    async def __aenter__(self) -> Gateway:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def _app(self) -> web.Application:
        app = web.Application(
            middlewares=[_errors, _guard, fault_middleware],
            client_max_size=self.config.limits.max_upload_bytes,
        )
        app[CONTEXT] = self._context
        app[PLAN] = self.faults
        app.add_routes(
            [
                web.get(f"{_API}/audio/transcriptions/stream", stt_stream),
                web.post(f"{_API}/audio/transcriptions", stt_upload),
                web.get(f"{_API}/audio/speech/stream", tts_stream),
                web.post(f"{_API}/audio/speech", audio_speech),
                web.post(f"{_API}/audio/pipelines", audio_pipeline),
                web.get(f"{_API}/audio/realtime", audio_realtime),
                web.get(f"{_API}/listen", deepgram_listen),
                web.post(f"{_API}/listen", deepgram_upload),
                web.get(f"{_API}/speak", deepgram_speak),
                web.post(f"{_API}/speak", deepgram_speech),
                web.get(f"{_ELEVEN}/multi-stream-input", elevenlabs_stream_input),
                web.post(f"{_ELEVEN}/stream", elevenlabs_speech),
                web.get(f"{_API}/stt", inference_stt),
                web.get(f"{_API}/tts", inference_tts),
                web.post(f"{_API}/chat/completions", chat_completions),
                web.get(f"{_API}/models", _models),
                web.get(f"{_ADMIN}/stats", _stats),
                web.get(f"{_ADMIN}/faults", get_faults),
                web.put(f"{_ADMIN}/faults", put_faults),
                web.delete(f"{_ADMIN}/faults", delete_faults),
                web.get("/health", self._health),
            ]
        )
        app.on_shutdown.append(self._close_sockets)
        return app

    async def _health(self, request: web.Request) -> web.Response:
        if self._ready:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "loading"}, status=503)

    async def _close_sockets(self, app: web.Application) -> None:
        await asyncio.gather(
            *(
                socket.close(code=WSCloseCode.GOING_AWAY, message=b"the gateway stops")
                for socket in list(self._context.sockets)
            ),
            return_exceptions=True,
        )
