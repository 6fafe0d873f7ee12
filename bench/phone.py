"""What the telephone adds: the same agent, stages and lines, heard in a room and on a phone.

Both calls go through one stack with the bridge in it, the phone's over G.711 and its jitter buffer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.call import Conversation
from bench.contestants import contestants
from bench.lines import CALL, Lines, render
from bench.profiles import PROFILES, Profile
from bench.results import Turn, percentile
from caller.errors import CallerError
from caller.party import Party
from caller.phone import PhoneCaller
from caller.room import Caller
from caller.sip.media import PLAYOUT_PACKETS
from caller.sip.rtp import FRAME_S
from caller.voice import Voice
from demo.phone import connect_number
from demo.stack import Ports, Stack, StackConfig

CONTESTANT = "parley"
ROUNDS = 3
"""Times that the plain lines are said on each path."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was heard on one path.

    Attributes:
        name: As in the table.
        heard_ms: Reply times at the caller's ear.
    """

    name: str
    heard_ms: list[float]


async def measure(folder: Path, say: Callable[[str], None]) -> list[Heard]:
    """Hold a call in a room and one on the phone.

    Raises:
        ProcessError: A part did not start.
        MediaServerError: There is no media server.
        CallerError: The caller cannot speak, or some turn was not answered.
    """
    voice, profile = Voice(), PROFILES["telco"]
    steps = [step for step in CALL if step.kind == "plain"]
    lines = await render(folder, voice, steps, longest_gap_s=profile.longest_gap_s)
    script = folder / "phone-script.json"
    script.write_text(json.dumps(lines.script))
    [ours] = [c for c in contestants(folder) if c.name == CONTESTANT]
    config = StackConfig(
        ports=Ports.free(),
        folder=folder / "phone",
        worker_env=ours.env,
        gateway_args=_gateway(profile, script),
        phone=True,
    )
    async with Stack(config) as stack:
        extension = await connect_number(stack)
        say("reply time in a room")
        async with Caller(
            stack.livekit_url, stack.api_key, stack.api_secret, room="room", voice=voice
        ) as caller:
            in_room = await _held(caller, lines, stack)
        say("reply time on the phone")
        async with PhoneCaller(
            extension.uri, voice=voice, credentials=extension.credentials
        ) as phone:
            on_phone = await _held(phone, lines, stack)
    return [Heard(name="room", heard_ms=in_room), Heard(name="phone", heard_ms=on_phone)]


async def _held(caller: Party, lines: Lines, stack: Stack) -> list[float]:
    async def requests() -> int:
        return (await stack.gateway_stats())["llm"]["opened"]

    turns: list[Turn] = []
    steps = [step for step in CALL if step.kind == "plain"]
    if isinstance(caller, Caller):
        await caller.wait_for_agent()
    conversation = Conversation(caller, lines=lines, requests=requests)
    for number in range(ROUNDS + 1):
        await conversation.hold(steps, turns.append if number else lambda _: None)
    heard = [turn.heard_ms for turn in turns if turn.heard_ms is not None]
    if len(heard) != len(turns):
        raise CallerError(f"{len(turns)} lines were said and {len(heard)} answered.")
    return heard


def _gateway(profile: Profile, script: Path) -> list[str]:
    options = {
        "--preload": "none",
        "--log-level": "WARNING",
        "--sim-script": str(script),
        "--sim-stt-final-ms": str(profile.stt_final),
        "--sim-llm-first-token-ms": str(profile.llm_first_token),
        "--sim-tts-first-audio-ms": str(profile.tts_first_audio),
    }
    return ["--extended", *(part for option in options.items() for part in option)]


def markdown(paths: list[Heard]) -> str:
    """The table, with what it is a table of."""
    lines = ["| heard on | turns | median ms | p95 ms |", "| --- | ---: | ---: | ---: |"]
    for path in paths:
        p50, p95 = (percentile(path.heard_ms, percent) or 0.0 for percent in (50, 95))
        lines.append(f"| {path.name} | {len(path.heard_ms)} | {p50:.0f} | {p95:.0f} |")
    playout_ms = PLAYOUT_PACKETS * FRAME_S * 1000
    return (
        "Time from the end of the caller's speech to the agent's first sound, profile telco "
        "(simulated stages). The phone's includes the bridge, G.711, "
        f"{playout_ms:.0f} ms of jitter buffer in the phone and 100 ms of patience that a line is "
        "given at the end of a turn.\n\n" + "\n".join(lines) + "\n"
    )
