"""A gateway before anything is asked of it: name, port, address, key, and the models it lists."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from ..config import Settings
from .clock import ClockReadings
from .findings import Finding, State

_ANSWER_TIMEOUT_S = 8.0
_MAX_MESSAGE_BYTES = 1024 * 1024
_CLOSE_TIMEOUT_S = 4.0
_LONG_TEXT = "One, two, three, four, five, six, seven, eight, nine, ten. " * 8
_NO_SUCH_MODEL = "parley/no-such-model"
_NO_SUCH_KEY = "parley-doctor-no-such-key"


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A gateway that routes name, and the settings that say where it is.

    Attributes:
        provider: As routes write it.
        base_url: As configured.
        key: As configured; may be several, separated by commas.
        url_variable: The setting of the address.
        key_variable: The setting of the key.
    """

    provider: str
    base_url: str
    key: SecretStr | None
    url_variable: str
    key_variable: str

    @property
    def host(self) -> str:
        """Host and port, without a password that the address may carry."""
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @property
    def speaks_over_sockets(self) -> bool:
        """Whether its voices are WebSockets, which a client cancels by closing."""
        return self.provider in ("aigateway", "local")

    def headers(self) -> dict[str, str]:
        """Headers of a request in this account's name, under its first key."""
        return {"Authorization": f"Bearer {self.keys[0].get_secret_value()}"} if self.keys else {}

    @property
    def keys(self) -> list[SecretStr]:
        """The keys, one by one."""
        text = self.key.get_secret_value() if self.key else ""
        return [SecretStr(key.strip()) for key in text.split(",") if key.strip()]


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What came of asking for the models.

    Attributes:
        findings: One, or several.
        models: Names that the gateway lists; None if it was not reached or lists none.
    """

    findings: list[Finding]
    models: frozenset[str] | None = None


def gateway_of(provider: str, settings: Settings) -> Gateway | None:
    """The gateway behind a provider's name; None for a vendor that is asked directly."""
    match provider:
        case "aigateway":
            url, key = settings.aigateway_base_url, settings.aigateway_api_key
            variables = ("AIGATEWAY_BASE_URL", "AIGATEWAY_API_KEY")
        case "gateflow":
            url, key = settings.gateflow_base_url, settings.gateflow_api_key
            variables = ("GATEFLOW_BASE_URL", "GATEFLOW_API_KEY")
        case "local":
            url, key = settings.local_gateway_url, settings.gateway_key
            variables = ("LOCAL_GATEWAY_URL", "GATEWAY_KEY")
        case _:
            return None
    return Gateway(
        provider=provider, base_url=url, key=key, url_variable=variables[0],
        key_variable=variables[1],
    )  # fmt: skip


async def reach_with_each_key(
    gateway: Gateway, http: aiohttp.ClientSession, clocks: ClockReadings
) -> Reached:
    """As `reach`, with each key: one that is refused is a warning while another one works."""
    keys: list[SecretStr] = gateway.keys
    each = [await reach(replace(gateway, key=key), http, clocks) for key in keys]
    each = each or [await reach(gateway, http, clocks)]
    reached = next((one for one in each if one.models is not None), each[0])
    if reached.models is None:
        return reached
    refused = [n for n, one in enumerate(each, start=1) if one.findings[0].check == "key"]
    warnings = [
        Finding(
            subject=gateway.provider, check="key", state=State.WARN,
            found=f"key {number} of {len(keys)} refused",
            fix=f"Take it out of {gateway.key_variable}, or put in one that works.",
        )
        for number in refused
    ]  # fmt: skip
    return replace(reached, findings=[*reached.findings, *warnings])


async def reach(gateway: Gateway, http: aiohttp.ClientSession, clocks: ClockReadings) -> Reached:
    """Ask a gateway for its models: that needs its port, its address and its key."""
    url = f"{gateway.base_url.rstrip('/')}/models"
    try:
        async with http.get(
            url,
            headers=gateway.headers(),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S),
        ) as answer:
            clocks.note(gateway.host, answer.headers.get("Date"))
            status = answer.status
            listed = _names(await answer.json(content_type=None)) if status < 300 else None
    except aiohttp.ClientConnectorDNSError:
        return _failed(gateway, "unknown host", f"Correct {gateway.url_variable}.")
    except (aiohttp.ClientConnectorError, ConnectionError):
        return _failed(gateway, f"nothing listens at {gateway.host}", _start(gateway))
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        return _failed(gateway, f"no answer ({type(e).__name__})", _start(gateway))
    except ValueError:
        status, listed = HTTPStatus.NOT_FOUND, None  # an address at which something else answers
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        found = "refused" if gateway.key else "none, and one is asked for"
        return _failed(gateway, found, f"Put the gateway's key into {gateway.key_variable}.", "key")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _failed(gateway, f"answers {status}", "Ask the gateway's status page; try later.")
    if listed is None:
        found = f"no models under {gateway.host}{urlsplit(url).path} ({status})"
        fix = f"Correct {gateway.url_variable}: it usually ends in /v1."
        return _failed(gateway, found, fix, "address")
    ok = Finding(
        subject=gateway.provider, check="reachable", state=State.OK,
        found=f"{gateway.host} lists {len(listed)} models",
    )  # fmt: skip
    return Reached(findings=[ok], models=listed)


def _failed(gateway: Gateway, found: str, fix: str, check: str = "reachable") -> Reached:
    subject = gateway.provider
    return Reached(
        findings=[
            Finding(subject=subject, check=check, state=State.FAIL, found=found, fix=fix)
        ]
    )  # fmt: skip


def _start(gateway: Gateway) -> str:
    if gateway.provider == "local":
        return f"Start it with `python -m gateway`, or correct {gateway.url_variable}."
    return f"Check the network and {gateway.url_variable}."


def _names(answer: Any) -> frozenset[str] | None:
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        return None
    return frozenset(
        str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry
    )


def missing_model(model: str, listed: frozenset[str], variable: str) -> tuple[str, str]:
    """What to say about a model that a gateway does not have: what was seen, and the fix."""
    near = get_close_matches(model, sorted(listed), n=2, cutoff=0.3) or sorted(listed)[:3]
    known = f" It lists {', '.join(near)}." if near else ""
    return "no such model", f"Correct the model in {variable}.{known}"


async def stop_ms(gateway: Gateway, path: str, http: aiohttp.ClientSession) -> float:
    """How long a voice's socket goes on after the client has closed it in mid-sentence.

    Closing is the only cancel that the wire form has, so it must be heard at once.

    Args:
        gateway: Whose socket.
        path: Path and query of the voice's stream.
        http: Makes the connection.

    Raises:
        aiohttp.ClientError: The socket could not be used.
        TimeoutError: No audio came.
    """
    url = f"{gateway.base_url.rstrip('/')}{path}"
    socket = await http.ws_connect(
        url,
        headers=gateway.headers(),
        timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
        max_msg_size=_MAX_MESSAGE_BYTES,
    )
    try:
        await socket.send_json({"text": _LONG_TEXT})
        await socket.receive_bytes(timeout=_ANSWER_TIMEOUT_S)
    finally:
        closing = time.monotonic()
        with contextlib.suppress(TimeoutError):  # aiohttp waits anew with every late message
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await socket.close()
    return (time.monotonic() - closing) * 1000


async def examine_errors(gateway: Gateway, http: aiohttp.ClientSession) -> list[Finding]:
    """Whether a wrong model and a wrong key are told as such: retries depend on it."""
    asked = {
        "wrong model": (gateway.headers(), (400, 404, 422)),
        "wrong key": ({"Authorization": f"Bearer {_NO_SUCH_KEY}"}, (401, 403)),
    }
    return [
        await _error(gateway, http, check, headers, wanted)
        for check, (headers, wanted) in asked.items()
    ]


async def _error(
    gateway: Gateway,
    http: aiohttp.ClientSession,
    check: str,
    headers: dict[str, str],
    wanted: tuple[int, ...],
) -> Finding:
    def finding(state: State, found: str, fix: str = "") -> Finding:
        return Finding(
            subject=gateway.provider, check=check, state=state, found=found, fix=fix,
            gateway=gateway.provider,
        )  # fmt: skip

    if check == "wrong key" and gateway.provider == "local" and not gateway.key:
        return finding(State.UNKNOWN, "asks for no key")
    body = {"model": _NO_SUCH_MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    try:
        async with http.post(
            f"{gateway.base_url.rstrip('/')}/chat/completions",
            json=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S),
        ) as answer:
            status, text = answer.status, await answer.content.read(_MAX_MESSAGE_BYTES)
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        return finding(State.UNKNOWN, f"no answer ({type(e).__name__})")
    if status in wanted and b"error" in text:
        return finding(State.OK, f"told as {status} with an error object")
    return finding(
        State.WARN, f"told as {status}", "Report it to the gateway: such errors get retried."
    )
