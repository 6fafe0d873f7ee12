"""The media server: is it there, is it ours, does media get through, and what time does it have."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import timedelta

import aiohttp
from livekit import api, rtc

from ..config import Settings
from .clock import ClockReadings
from .findings import Finding, State

SUBJECT = "media server"

_ANSWER_TIMEOUT_S = 5.0
_MEDIA_TIMEOUT_S = 15.0
_TOKEN_TTL = timedelta(minutes=1)

_START = "Start one (`livekit-server --dev`; `make demo` brings its own) or set LIVEKIT_URL."
_CREDENTIALS = "Set LIVEKIT_API_KEY and LIVEKIT_API_SECRET to a pair from the server's `keys:`."
_PORTS = (
    "Open the server's `rtc` ports (UDP 7882 or its range, TCP 7881) and see that the address it "
    "tells (`rtc.node_ip`, `use_external_ip`) can be reached from here."
)


async def examine_media_server(settings: Settings, clocks: ClockReadings) -> list[Finding]:
    """Reach it, sign in, and join a room; each step only if the one before went well."""
    findings = [await _reach(settings, clocks)]
    if settings.uses_dev_credentials():
        findings.append(
            _finding(
                "key", State.WARN, "the development key, which everybody knows",
                "Fine on your own machine; `python agent.py start` refuses it.",
            )
        )  # fmt: skip
    if findings[0].state is State.OK:
        findings.append(await _sign_in(settings))
    if findings[-1].check == "credentials" and findings[-1].state is State.OK:
        findings.append(await _join(settings))
    return findings


def _finding(check: str, state: State, found: str, fix: str = "") -> Finding:
    return Finding(subject=SUBJECT, check=check, state=state, found=found, fix=fix)


def _http(url: str) -> str:
    return url.replace("ws", "http", 1) if url.startswith("ws") else url


async def _reach(settings: Settings, clocks: ClockReadings) -> Finding:
    timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(_http(settings.livekit_url), allow_redirects=False) as answer,
        ):
            clocks.note(SUBJECT, answer.headers.get("Date"))
    except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as e:
        return _finding("reachable", State.FAIL, f"no answer ({type(e).__name__})", _START)
    return _finding("reachable", State.OK, "answers")


async def _sign_in(settings: Settings) -> Finding:
    timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S)
    try:
        async with api.LiveKitAPI(
            _http(settings.livekit_url),
            settings.livekit_api_key,
            settings.livekit_api_secret.get_secret_value(),
            timeout=timeout,
        ) as server:
            await server.room.list_rooms(api.ListRoomsRequest(names=["parley-doctor"]))
    except api.TwirpError as e:
        if e.status in (401, 403):
            return _finding("credentials", State.FAIL, f"refused ({e.status})", _CREDENTIALS)
        return _finding("credentials", State.FAIL, f"answers {e.status}", _START)
    except (aiohttp.ClientError, OSError, TimeoutError) as e:
        return _finding("credentials", State.FAIL, f"no answer ({type(e).__name__})", _START)
    except ValueError:
        return _finding("credentials", State.FAIL, "not a media server's answer", _START)
    return _finding("credentials", State.OK, "accepted")


async def _join(settings: Settings) -> Finding:
    """Join a room as a worker does: signalling, ICE and DTLS, over whatever the network allows."""
    name = f"parley-doctor-{secrets.token_hex(4)}"
    token = (
        api.AccessToken(settings.livekit_api_key, settings.livekit_api_secret.get_secret_value())
        .with_identity("doctor")
        .with_grants(api.VideoGrants(room_join=True, room=name))
        .with_ttl(_TOKEN_TTL)
        .to_jwt()
    )
    room = rtc.Room()
    started = time.monotonic()
    try:
        async with asyncio.timeout(_MEDIA_TIMEOUT_S):
            await room.connect(settings.livekit_url, token)
    except (rtc.ConnectError, TimeoutError) as e:
        return _finding("media", State.FAIL, f"no connection ({type(e).__name__})", _PORTS)
    finally:
        await room.disconnect()
    return _finding("media", State.OK, f"connected in {(time.monotonic() - started) * 1000:.0f} ms")
