"""The demo: start everything, hold the scripted conversation, show it live, keep the room open."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from agent.config import ConfigError, load_settings
from agent.web.server import WebServer
from caller.cli import Call, Terminal, place
from caller.conversation import AGENT_TIMEOUT_S, CallResult
from caller.ears import Ears
from caller.errors import CallerError
from caller.script import Script, load_script
from caller.voice import Voice

from .binaries import ROOT
from .media_server import MediaServerError
from .network import NoNetworkInterface, ensure_interface
from .processes import ProcessError
from .stack import Ports, Stack, StackConfig

SCRIPT = Path(__file__).with_name("script.toml")
RECORDINGS = Path("recordings")
NO_PAGE = (
    "There is no page to talk from: `make setup` builds it with Node.js 20.19 or newer, which "
    "was not found here."
)
_LOGS = ROOT / ".parley" / "demo"
_INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


def run_demo(*, once: bool, free_ports: bool) -> int:
    """Run the demo to its end.

    Args:
        once: Exit after the conversation instead of keeping everything up.
        free_ports: Listen on any free ports instead of the usual ones.

    Returns:
        The exit code: 0 if every turn was right, 1 if not or if something could not be started.
    """
    RECORDINGS.mkdir(exist_ok=True)
    try:
        if ensure_interface():
            print("No network: made an interface of our own.", flush=True)
        return asyncio.run(_interruptible(once=once, free_ports=free_ports))
    except (NoNetworkInterface, ProcessError, MediaServerError, CallerError, ConfigError) as e:
        print(f"The demo could not go on. {e}", flush=True)
        return 1


async def _interruptible(*, once: bool, free_ports: bool) -> int:
    demo = asyncio.create_task(_demo(once=once, free_ports=free_ports))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, demo.cancel)
    try:
        return await demo
    except asyncio.CancelledError:
        print("\nStopped, with everything that was started.", flush=True)
        return _INTERRUPTED


async def _demo(*, once: bool, free_ports: bool) -> int:
    with_account = load_settings().has_gateway_account()
    gateway = "your gateway account" if with_account else "the local gateway, no account needed"
    print(f"Starting media server and worker, with {gateway}. Logs: {_LOGS}", flush=True)
    config = StackConfig(
        ports=Ports.free() if free_ports else Ports(),
        folder=_LOGS,
        local_gateway=not with_account,
    )
    script, voice, ears = load_script(SCRIPT), Voice(), Ears()
    # Beside the stack's own start: of two cores, the worker's imports keep only one busy.
    prepared = asyncio.gather(voice.prepare(script.lines), ears.load())
    async with Stack(config, say=lambda text: print(f"  {text}", flush=True)) as stack:
        await prepared
        if once:
            result = await _converse(stack, script, voice, ears)
            print(json.dumps(_summary(result)), flush=True)
            return 0 if result.ok else 1
        async with stack.page_server() as page:
            if page.has_page:
                print(f"Talk to it yourself: {page.url}", flush=True)
            result = await _converse(stack, script, voice, ears)
            _invite(stack, result, page)
            await asyncio.Event().wait()  # until Ctrl-C
    raise AssertionError("an Event that nobody sets was set")


async def _converse(stack: Stack, script: Script, voice: Voice, ears: Ears) -> CallResult:
    recording = RECORDINGS / f"demo-{datetime.now():%Y%m%d-%H%M%S}.wav"
    call = Call(
        url=stack.livekit_url,
        api_key=stack.api_key,
        api_secret=stack.api_secret,
        room=f"demo-{token_hex(4)}",
        agent_name="",
        script=script,
        record=recording,
        agent_timeout_s=AGENT_TIMEOUT_S,
    )
    result = await place(call, progress=Terminal(), voice=voice, ears=ears)
    print(f"Recording (left: caller, right: agent): {recording}", flush=True)
    if not result.ok:
        print(f"Not every turn was right. {result.why}".strip(), flush=True)
    return result


def _summary(result: CallResult) -> dict[str, object]:
    wanted = ("said", "heard", "reply_ms", "barge_in_stop_ms")
    turns = [{key: getattr(turn, key) for key in wanted} for turn in result.turns]
    return {"ok": result.ok, "turns": turns, "recording": result.recording}


def _invite(stack: Stack, result: CallResult, page: WebServer) -> None:
    print(
        f"""
Everything stays up. {"All turns were right." if result.ok else ""}
{f"Talk to the agent: {page.url}" if page.has_page else NO_PAGE}
Or from another terminal:

  export LIVEKIT_URL={stack.livekit_url} LIVEKIT_API_KEY={stack.api_key}
  export LIVEKIT_API_SECRET={stack.api_secret}
  .venv/bin/python agent.py call --say "What is on my calendar tomorrow?"

Any LiveKit client can join with these; the worker comes into every new room. The secret is made
anew at each start and the server listens on this machine only. Ctrl-C stops everything.
""",
        flush=True,
    )
