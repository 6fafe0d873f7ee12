"""Faults in the server: around each request, and by `/admin/faults`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.faults.injection import Injection
from gateway.faults.plan import MAX_SCRIPT_BYTES, FaultPlan, parse_script
from gateway.faults.transport import FaultTransport
from gateway.faults.vocabulary import Do, Fault
from gateway.stages.context import read_body
from gateway.stages.outlet import Outlet
from gateway.stats import Call, Stage
from gateway.wire.openai_chat import error_object

PLAN: web.AppKey[FaultPlan] = web.AppKey("faults", FaultPlan)

_INJECTION: web.RequestKey[Injection] = web.RequestKey("injection", Injection)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STAGES: dict[str, Stage] = {
    "/v1/audio/transcriptions/stream": "stt",
    "/v1/audio/transcriptions": "stt",
    "/v1/listen": "stt",
    "/v1/stt": "stt",
    "/v1/chat/completions": "llm",
    "/v1/audio/speech/stream": "tts",
    "/v1/audio/speech": "tts",
    "/v1/speak": "tts",
    "/v1/tts": "tts",
    "/v1/audio/pipelines": "realtime",
    "/v1/audio/realtime": "realtime",
}
_ELEVENLABS = "/v1/text-to-speech/"
"""Its addresses name the voice."""


def _stage_of(path: str) -> Stage | None:
    return "tts" if path.startswith(_ELEVENLABS) else _STAGES.get(path)


def _key_header(request: web.Request) -> str:
    """Where the dialects carry the key."""
    return request.headers.get("Authorization") or request.headers.get("xi-api-key") or ""


def _answer_with(fault: Fault, transport: FaultTransport) -> web.Response:
    if fault.do is Do.REFUSE:
        transport.close()
        raise ConnectionResetError
    if fault.do is Do.REDIRECT:
        return web.Response(status=307, headers={"Location": fault.text("location")})
    status = fault.number("status")
    response = web.json_response(
        error_object("a fault script says so", kind="server_error"), status=status
    )
    if retry_after := fault.text("retry_after"):
        response.headers["Retry-After"] = retry_after
    return response


@web.middleware
async def fault_middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Give a connection the faults that the script in force has for it."""
    stage = _stage_of(request.path)
    transport = request.transport
    if stage is None or not isinstance(transport, FaultTransport):
        return await handler(request)
    plan = request.app[PLAN]
    key = plan.key_number(_key_header(request))
    injection = Injection(stage, plan=plan, transport=transport, key=key)
    instead = injection.before_answer()
    if instead is not None:
        # What shapes the connection shapes this answer too, which is yet to be written.
        injection.forget()
        return _answer_with(instead, transport)
    request[_INJECTION] = injection
    try:
        return await handler(request)
    finally:
        await injection.aclose()


async def open_outlet(request: web.Request, outlet: Outlet, call: Call) -> Outlet:
    """Return the outlet that a handler shall use, with the connection's faults in it if it has any.

    Raises:
        ConnectionError: if a fault ends the connection at once.
    """
    injection = request.get(_INJECTION)
    return outlet if injection is None else await injection.open(outlet, call)


async def get_faults(request: web.Request) -> web.Response:
    """Answer `GET /admin/faults`: the script in force and what has acted."""
    return web.json_response(request.app[PLAN].as_object())


async def put_faults(request: web.Request) -> web.Response:
    """Answer `PUT /admin/faults`: put a script in force."""
    script = parse_script(await read_body(request, max_bytes=MAX_SCRIPT_BYTES))
    request.app[PLAN].apply(script)
    return web.json_response(request.app[PLAN].as_object())


async def delete_faults(request: web.Request) -> web.Response:
    """Answer `DELETE /admin/faults`: take all faults out of force."""
    request.app[PLAN].clear()
    return web.json_response(request.app[PLAN].as_object())
