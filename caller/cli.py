"""`python agent.py call`: hold a call from a terminal, from a script or from a few lines."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Annotated, NoReturn

import typer

from caller.conversation import CallResult, Conversation, Progress, TurnResult
from caller.ears import Ears
from caller.errors import CallerError
from caller.party import REPLY_TIMEOUT_S
from caller.room import Caller
from caller.script import Script, ScriptError, Turn, load_script
from caller.voice import Voice

EXIT_FAILED = 1
"""The call could not be held, or something expected did not come."""
EXIT_USAGE = 2
"""The command or its script is not understood."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, as shells count it."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Everything needed to place one call.

    Attributes:
        url: The LiveKit server.
        api_key: Its key.
        api_secret: Its secret; never printed.
        room: The room to join.
        agent_name: The agent to call into it; "" for one that comes by itself.
        script: What happens.
        record: Where the recording goes, if anywhere.
        agent_timeout_s: How long the agent may take to come.
    """

    url: str
    api_key: str
    api_secret: str
    room: str
    agent_name: str
    script: Script
    record: Path | None
    agent_timeout_s: float

    def __repr__(self) -> str:
        return f"Call(room={self.room!r})"


async def place(
    call: Call, *, progress: Progress, voice: Voice | None = None, ears: Ears | None = None
) -> CallResult:
    """Prepare everything slow, then hold the call.

    Args:
        call: What to do.
        progress: Told as the call goes on.
        voice: A voice that may be prepared already; None for a new one.
        ears: Ears that may be loaded already, closed in the end; None for new ones.

    Raises:
        CallerError: The call could not be held; the message is for a person.
    """
    voice, ears = voice or Voice(), ears or Ears()
    try:
        await voice.prepare(call.script.lines)
        await ears.load()
        async with Caller(
            call.url,
            call.api_key,
            call.api_secret,
            room=call.room,
            agent_name=call.agent_name,
            voice=voice,
            record=call.record,
        ) as caller:
            conversation = Conversation(
                caller=caller,
                script=call.script,
                ears=ears,
                progress=progress,
                agent_timeout_s=call.agent_timeout_s,
            )
            result = await conversation.hold()
    finally:
        ears.close()
    result.ended = caller.ended_reason
    result.recording = str(call.record) if call.record else None
    return result


class Terminal(Progress):
    """Tells a person on stderr what is said and how long it took."""

    def agent_came(self) -> None:
        """The agent is in the room."""
        _tell("agent   is in the room")

    def says(self, words: str) -> None:
        """The caller is about to speak."""
        _tell(f"caller  {words}")

    def turn_done(self, turn: TurnResult) -> None:
        """A turn is over and judged."""
        if turn.heard:
            _tell(f"agent   {turn.heard}")
        times = []
        if turn.barge_in_stop_ms is not None:
            times.append(f"fell silent {turn.barge_in_stop_ms:.0f} ms after being interrupted")
        if turn.reply_ms is not None:
            times.append(f"answered after {turn.reply_ms:.0f} ms")
        if turn.cut_ins:
            times.append(f"cut in {turn.cut_ins} times")
        verdict = "ok" if turn.ok else f"not ok: {turn.why}"
        _tell(f"        {', '.join([*times, verdict])}")

    def ended(self, result: CallResult) -> None:
        """The call is over."""
        if result.why and not any(turn.why == result.why for turn in result.turns):
            _tell(f"        not ok: {result.why}")


def call(
    script: Annotated[Path | None, typer.Option(help="A script (TOML).")] = None,
    say: Annotated[list[str] | None, typer.Option(help="A line to speak; may be repeated.")] = None,
    wav: Annotated[
        list[Path] | None, typer.Option(help="A WAV file to speak; may be repeated.")
    ] = None,
    greeting: Annotated[
        bool, typer.Option(help="With --say or --wav: hear the agent's greeting first.")
    ] = True,
    url: Annotated[
        str, typer.Option(envvar="LIVEKIT_URL", help="The LiveKit server.")
    ] = "ws://127.0.0.1:7880",
    api_key: Annotated[str, typer.Option(envvar="LIVEKIT_API_KEY")] = "",
    api_secret: Annotated[
        str, typer.Option(envvar="LIVEKIT_API_SECRET", help="Better given by the environment.")
    ] = "",
    room: Annotated[str, typer.Option(help="The room; a new one if left out.")] = "",
    agent_name: Annotated[
        str, typer.Option(envvar="AGENT_NAME", help="The agent to call into the room.")
    ] = "",
    record: Annotated[
        Path | None, typer.Option(help="Write both sides to this stereo WAV.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds the agent may take to come, and to reply.")
    ] = REPLY_TIMEOUT_S,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object on stdout.")
    ] = False,
) -> None:
    """Call the agent as a person would: speak, listen, and time every turn at the ear."""
    if bool(script) + bool(say) + bool(wav) != 1:
        raise typer.BadParameter("give one of --script, --say and --wav (the last two repeatedly)")
    if not api_key or not api_secret:
        raise typer.BadParameter(
            "LIVEKIT_API_KEY and LIVEKIT_API_SECRET are not set; `make demo` prints a pair to use"
        )
    # The native client logs the token of a refused connection; what matters is told as a sentence.
    logging.getLogger("livekit").addFilter(_only_critical)
    try:
        wanted = Call(
            url=url,
            api_key=api_key,
            api_secret=api_secret,
            room=room or f"call-{token_hex(4)}",
            agent_name=agent_name,
            script=load_script(script) if script else _lines(say, wav, greeting, timeout),
            record=record,
            agent_timeout_s=timeout,
        )
        result = asyncio.run(place(wanted, progress=Terminal()))
    except CallerError as e:
        code = EXIT_USAGE if isinstance(e, ScriptError) else EXIT_FAILED
        _give_up(str(e), code, as_json=as_json)
    except KeyboardInterrupt:
        kept = f" The recording is in {record}." if record else ""
        _give_up(f"Hung up.{kept}", EXIT_INTERRUPTED, as_json=as_json)
    if as_json:
        print(json.dumps(result.to_json()), flush=True)
    if not result.ok:
        raise typer.Exit(EXIT_FAILED)


def _only_critical(record: logging.LogRecord) -> bool:
    """Keep the native client's own records down; loggers below `livekit` are not touched."""
    return record.levelno >= logging.CRITICAL


def _lines(say: list[str] | None, wav: list[Path] | None, greeting: bool, timeout: float) -> Script:
    turns = [Turn(listen=True)] if greeting else []
    turns += [Turn(say=words) for words in say or []]
    turns += [Turn(wav=path) for path in wav or []]
    return Script(turns=tuple(turns), reply_timeout_s=timeout)


def _give_up(why: str, code: int, *, as_json: bool) -> NoReturn:
    _tell(why)
    if as_json:
        print(json.dumps(CallResult(why=why).to_json()), flush=True)
    raise typer.Exit(code)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
