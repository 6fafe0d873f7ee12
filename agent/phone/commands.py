"""What the commands of `cli` do: the part of it that needs the framework."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import typer
from jwt.warnings import InsecureKeyLengthWarning
from livekit import api

from ..config import ConfigError, Settings, load_settings
from . import dialing, trunks
from .dialing import Dialled
from .numbers import DialRefused
from .outcome import Outcome

EXIT_CODES = {
    Outcome.ANSWERED: 0,
    Outcome.FAILED: 1,
    Outcome.BUSY: 3,
    Outcome.REJECTED: 4,
    Outcome.NO_ANSWER: 5,
    Outcome.VOICEMAIL: 6,
}

T = TypeVar("T")


def setup(file: Path) -> None:
    """Make trunks and dispatch rule as the file says, and tell what was done."""
    settings, config = load_settings(), trunks.load_config(file)
    for change in _with_server(settings, lambda server: trunks.setup(server, config, settings)):
        typer.echo(f"{change.done:9}  {change.what} {change.name} ({change.id})")


def list_all() -> None:
    """Show what there is."""
    settings = load_settings()
    for line in _with_server(settings, lambda server: _list(server, settings)):
        typer.echo(line)


def dial(number: str) -> Dialled:
    """Call a number with the agent."""
    settings = load_settings()

    def say(text: str) -> None:
        typer.echo(text, err=True)

    async def place(server: api.LiveKitAPI) -> Dialled:
        return await dialing.dial(server, number, settings, say=say)

    try:
        return _with_server(settings, place)
    except DialRefused as e:
        sys.exit(f"{e} AGENT_PHONE_ALLOW names the numbers that may be called.")


async def _list(server: api.LiveKitAPI, settings: Settings) -> list[str]:
    lines = []
    for trunk in (await server.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items:
        password = "with a password" if trunk.auth_password else "without a password"
        from_ = ", ".join(trunk.allowed_addresses) or "anywhere"
        lines.append(
            f"inbound trunk   {trunk.sip_trunk_id}  {trunk.name}: {', '.join(trunk.numbers)}, "
            f"{password}, from {from_}"
        )
    for rule in (await server.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())).items:
        agents = [agent.agent_name for agent in rule.room_config.agents]
        lines.append(
            f"dispatch rule   {rule.sip_dispatch_rule_id}  {rule.name}: "
            f"agent {', '.join(agents) or 'any'}"
        )
    outbound = await server.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())
    lines += [
        f"outbound trunk  {trunk.sip_trunk_id}  {trunk.name}: {trunk.address}"
        for trunk in outbound.items
    ]
    rooms = (await server.room.list_rooms(api.ListRoomsRequest())).rooms
    calls = [room for room in rooms if room.name.startswith(settings.phone.room_prefix)]
    lines.append(f"calls now       {len(calls)}")
    return lines


def _with_server(settings: Settings, do: Callable[[api.LiveKitAPI], Awaitable[T]]) -> T:
    logging.getLogger("livekit").setLevel(logging.CRITICAL)

    async def run() -> T:
        url, secret = settings.livekit_url, settings.livekit_api_secret.get_secret_value()
        async with api.LiveKitAPI(url, settings.livekit_api_key, secret) as server:
            return await do(server)

    try:
        with warnings.catch_warnings():
            # The development key is short, and `start` refuses it.
            warnings.simplefilter("ignore", InsecureKeyLengthWarning)
            return asyncio.run(run())
    except (aiohttp.ClientError, OSError) as e:
        raise ConfigError(
            f"The LiveKit server at {settings.livekit_url} cannot be reached "
            f"({type(e).__name__}). Is LIVEKIT_URL right?"
        ) from None
    except api.ServerError as e:
        raise ConfigError(_why(e)) from None
    except KeyboardInterrupt:
        sys.exit("Hung up.")


def _why(error: api.ServerError) -> str:
    if error.code in ("unauthenticated", "permission_denied"):
        return "The LiveKit server refuses LIVEKIT_API_KEY and LIVEKIT_API_SECRET."
    if "sip" in error.message.lower() and "not" in error.message.lower():
        return "This LiveKit server has no telephone: it needs Redis and livekit-sip."
    return f"The LiveKit server says: {error.message} ({error.code})."
