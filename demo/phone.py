"""The telephone on one machine: `make phone`, and calls without a carrier.

Everything listens on loopback unless an address is given, and the inbound trunk wants a password.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_urlsafe

from livekit import api
from pydantic import SecretStr

from agent.config import ConfigError, load_settings
from agent.phone.trunks import Inbound, Outbound, PhoneConfig, setup
from caller.cli import Terminal
from caller.conversation import CallResult, Conversation
from caller.ears import Ears
from caller.errors import CallerError
from caller.phone import PhoneCaller
from caller.script import Script, load_script
from caller.sip.digest import Credentials
from caller.sip.network import PERFECT, Line
from caller.sip.sdp import CODECS, Codec
from caller.voice import Voice

from . import debian, sip_bridge
from .binaries import ROOT
from .media_server import MediaServerError
from .network import NoNetworkInterface, ensure_interface
from .processes import ProcessError
from .run import RECORDINGS, SCRIPT
from .stack import HOST, Ports, Stack, StackConfig

NUMBER = "100"
"""What is dialled to reach the agent."""
USER = "phone"
_LOGS = ROOT / ".parley" / "phone"
_INTERRUPTED = 130
_WHY = (
    NoNetworkInterface, ProcessError, MediaServerError, CallerError, ConfigError,
    debian.PackagesMissing,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Extension:
    """The agent's number on a stack, and what a caller needs for it.

    Attributes:
        uri: What is dialled.
        credentials: What the bridge asks for.
    """

    uri: str
    credentials: Credentials = field(repr=False)


async def connect_number(stack: Stack, *, outbound: Outbound | None = None) -> Extension:
    """Give the stack's agent a number, with digest authentication."""
    password = token_urlsafe(12)
    config = PhoneConfig(
        inbound=Inbound(numbers=[NUMBER], username=USER, password=SecretStr(password)),
        outbound=outbound,
    )
    async with api.LiveKitAPI(stack.livekit_url, stack.api_key, stack.api_secret) as server:
        await setup(server, config, load_settings())
    return Extension(
        uri=f"sip:{NUMBER}@{stack.config.phone_host}:{stack.config.ports.sip}",
        credentials=Credentials(user=USER, password=password),
    )


async def rehearse(
    extension: Extension,
    script: Script,
    *,
    voice: Voice,
    ears: Ears,
    record: Path | None = None,
    codec: Codec = "PCMU",
    line: Line = PERFECT,
) -> CallResult:
    """Hold one scripted call on the telephone.

    Raises:
        CallerError: The call could not be held; the message is for a person.
    """
    async with PhoneCaller(
        extension.uri,
        voice=voice,
        credentials=extension.credentials,
        codecs=(codec,),
        line=line,
        record=record,
    ) as caller:
        conversation = Conversation(caller=caller, script=script, ears=ears, progress=Terminal())
        result = await conversation.hold()
    result.ended = caller.ended_reason
    result.recording = str(record) if record else None
    return result


def run_rehearsal(
    *, script: Path | None, record: Path | None, codec: str, loss: float, jitter_ms: float
) -> int:
    """Start everything, hold one call and print its scores; 0 if every turn was right."""
    chosen = next((known for known in CODECS if known == codec.upper()), None)
    if chosen is None:
        print(f"There is no codec {codec}: it is PCMU or PCMA.", flush=True)
        return 2
    line = Line(loss=loss, jitter_ms=jitter_ms)

    async def hold() -> int:
        held = load_script(script or SCRIPT)
        recording = record or RECORDINGS / f"phone-{datetime.now():%Y%m%d-%H%M%S}.wav"
        voice, ears = Voice(), Ears()
        prepared = asyncio.gather(voice.prepare(held.lines), ears.load())
        try:
            async with Stack(_config(free_ports=True, host=HOST), say=_say) as stack:
                await prepared
                result = await rehearse(
                    await connect_number(stack), held,
                    voice=voice, ears=ears, record=recording, codec=chosen, line=line,
                )  # fmt: skip
        finally:
            ears.close()
        print(json.dumps(result.to_json()), flush=True)
        return 0 if result.ok else 1

    return _run(hold)


def run_phone(*, host: str, free_ports: bool) -> int:
    """Start everything and wait for calls until Ctrl-C."""

    async def serve() -> int:
        async with Stack(_config(free_ports=free_ports, host=host), say=_say) as stack:
            extension = await connect_number(stack)
            _invite(stack, extension)
            await asyncio.Event().wait()  # until Ctrl-C
        return 0

    return _run(serve)


def _config(*, free_ports: bool, host: str) -> StackConfig:
    return StackConfig(
        ports=Ports.free() if free_ports else Ports(),
        folder=_LOGS,
        local_gateway=not load_settings().has_gateway_account(),
        phone=True,
        phone_host=host,
    )


def _run(work: Callable[[], Coroutine[None, None, int]]) -> int:
    RECORDINGS.mkdir(exist_ok=True)
    try:
        if ensure_interface():
            _say("no network: made an interface of our own")
        sip_bridge.ensure(_say)
        return asyncio.run(_interruptible(work))
    except _WHY as e:
        print(f"The telephone could not go on. {e}", flush=True)
        return 1


async def _interruptible(work: Callable[[], Coroutine[None, None, int]]) -> int:
    task = asyncio.create_task(work())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        print("\nStopped, with everything that was started.", flush=True)
        return _INTERRUPTED


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _invite(stack: Stack, extension: Extension) -> None:
    host, port = stack.config.phone_host, stack.config.ports.sip
    print(
        f"""
The telephone is up. Call it with any softphone (Linphone, Zoiper, MicroSIP, baresip):

  address    {extension.uri}
  user       {extension.credentials.user}
  password   {extension.credentials.password}
  server     {host}:{port}, UDP; no registration

The password is made anew at each start. Ctrl-C stops everything. Logs: {_LOGS}
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(
        run_phone(host=os.environ.get("HOST", HOST), free_ports=os.environ.get("PORTS") == "free")
    )
