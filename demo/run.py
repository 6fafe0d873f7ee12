"""The demo: start everything, hold the scripted conversation, show it live, keep the room open."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from datetime import datetime
from pathlib import Path

from livekit.agents.utils import shortuuid

from agent.config import load_settings
from caller.conversation import CallResult, Conversation, Progress, TurnResult
from caller.ears import Ears
from caller.errors import CallerError
from caller.room import Caller
from caller.script import Script, load_script
from caller.voice import Voice

from .media_server import ROOT, MediaServerError
from .processes import ProcessError
from .stack import Ports, Stack, StackConfig

SCRIPT = Path(__file__).with_name("script.toml")
RECORDINGS = Path("recordings")
_LOGS = ROOT / ".parley" / "demo"
_INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


class LiveView(Progress):
    """Prints the talk as it happens, with a line of times a turn."""

    def __init__(self, started: float) -> None:
        self._started = started

    def agent_came(self) -> None:
        """The agent is in the room."""
        self._line("the agent has joined the room")

    def says(self, words: str) -> None:
        """The caller is about to speak."""
        self._line(f"caller: {words}")

    def turn_done(self, turn: TurnResult) -> None:
        """A turn is over and judged."""
        self._line(f" agent: {turn.heard or '(nothing)'}")
        times = []
        if turn.reply_ms is not None:
            times.append(f"replied after {turn.reply_ms:.0f} ms")
        if turn.barge_in_stop_ms is not None:
            times.append(f"fell silent {turn.barge_in_stop_ms:.0f} ms after the interruption")
        verdict = "ok" if turn.ok else f"WRONG: {turn.why}"
        print(f"               {', '.join([*times, verdict])}", flush=True)

    def _line(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:6.1f} s] {text}", flush=True)


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
        return asyncio.run(_interruptible(once=once, free_ports=free_ports))
    except (ProcessError, MediaServerError, CallerError) as e:
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
    started = time.monotonic()
    view = LiveView(started)
    script = load_script(SCRIPT)
    with_account = load_settings().has_gateway_account()
    print(f"Starting the stack ({_gateway_words(with_account)}); logs in {_LOGS}", flush=True)
    config = StackConfig(
        ports=Ports.free() if free_ports else Ports(),
        folder=_LOGS,
        local_gateway=not with_account,
    )
    voice, ears = Voice(), Ears()
    try:
        async with Stack(config, say=lambda text: print(f"  {text}", flush=True)) as stack:
            # Not while the stack loads its models: on two cores that would only slow both down.
            await voice.prepare(script.lines)
            await ears.load()
            result = await _converse(stack, script, voice, ears, view)
            if once:
                print(json.dumps(_summary(result)), flush=True)
                return 0 if result.ok else 1
            _invite(stack, result)
            await asyncio.Event().wait()  # until Ctrl-C
    finally:
        ears.close()
    raise AssertionError("an Event that nobody sets was set")


def _gateway_words(with_account: bool) -> str:
    return "your gateway account" if with_account else "no account: local gateway, real engines"


async def _converse(
    stack: Stack, script: Script, voice: Voice, ears: Ears, view: LiveView
) -> CallResult:
    recording = RECORDINGS / f"demo-{datetime.now():%Y%m%d-%H%M%S}.wav"
    caller = Caller(
        stack.livekit_url,
        stack.api_key,
        stack.api_secret,
        room=shortuuid("demo-"),
        voice=voice,
        record=recording,
    )
    async with caller:
        conversation = Conversation(caller=caller, script=script, ears=ears, progress=view)
        result = await conversation.hold()
    result.recording = str(recording)
    print(f"Recording (left: caller, right: agent): {recording}", flush=True)
    if not result.ok:
        print(f"Not every turn was right. {result.why}".strip(), flush=True)
    return result


def _summary(result: CallResult) -> dict[str, object]:
    wanted = ("said", "heard", "reply_ms", "barge_in_stop_ms")
    turns = [{key: getattr(turn, key) for key in wanted} for turn in result.turns]
    return {"ok": result.ok, "turns": turns, "recording": result.recording}


def _invite(stack: Stack, result: CallResult) -> None:
    print(
        f"""
Everything stays up. {"All turns were right." if result.ok else ""}
Talk to the agent from another terminal:

  export LIVEKIT_URL={stack.livekit_url} LIVEKIT_API_KEY={stack.api_key}
  export LIVEKIT_API_SECRET={stack.api_secret}
  .venv/bin/python agent.py call --say "What is on my calendar tomorrow?"

Any LiveKit client can join with these; the worker comes into every new room. The secret is made
anew at each start and the server listens on this machine only. Ctrl-C stops everything.
""",
        flush=True,
    )
