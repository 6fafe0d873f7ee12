"""`python agent.py call` in a process of its own, as a person runs it; an echo is the agent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from livekit import api
from livekit.agents.utils import shortuuid

from demo.binaries import ROOT
from tests.room.media import API_KEY, API_SECRET, Media, running_media

COMMAND = "import typer; from caller.cli import call; typer.run(call)"
CALL_TIMEOUT_S = 60.0
ECHO_DELAY_S = 2.0  # longer than the line, so that the echo does not speak over it


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def media(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Media]:
    async with running_media(tmp_path_factory.mktemp("media")) as running:
        yield running


async def start(media: Media, room: str, *args: str) -> asyncio.subprocess.Process:
    env = os.environ | {"LIVEKIT_API_KEY": API_KEY, "LIVEKIT_API_SECRET": API_SECRET}
    options = ["--url", media.url, "--room", room, "--json", *args]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, *options, env=env, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def finish(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    async with asyncio.timeout(CALL_TIMEOUT_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(("expect", "code"), [("desk lamp", 0), ("flower pot", 1)])
async def test_a_script_is_held_heard_and_judged(
    media: Media, tmp_path: Path, expect: str, code: int
) -> None:
    room, recording = shortuuid("call-"), tmp_path / "call.wav"
    script = tmp_path / "call.toml"
    script.write_text(f'[[turn]]\nsay = "Where is my desk lamp?"\nexpect = "{expect}"\n')
    async with media.echo(room, delay_s=ECHO_DELAY_S):
        process = await start(media, room, "--script", str(script), "--record", str(recording))
        returned, out, err = await finish(process)
    assert returned == code, err
    result = json.loads(out)
    (turn,) = result["turns"]
    assert result["ok"] is turn["ok"] is (code == 0)
    assert "desk lamp" in turn["heard"].lower()
    assert 0 < turn["reply_ms"] < ECHO_DELAY_S * 1000
    assert "caller  Where is my desk lamp?" in err
    assert result["recording"] == str(recording)
    assert seconds(recording) > ECHO_DELAY_S


async def test_ctrl_c_leaves_the_room_and_keeps_the_recording(media: Media, tmp_path: Path) -> None:
    room, recording = shortuuid("call-"), tmp_path / "call.wav"
    async with media.echo(room):
        process = await start(media, room, "--say", "Hello?", "--record", str(recording))
        await until(lambda: recording.exists() and seconds(recording) > 1.0)
        process.send_signal(signal.SIGINT)
        returned, out, err = await finish(process)
        assert await participants(media, room) == {"echo"}
    assert returned == 130, err
    assert json.loads(out)["ok"] is False
    assert err.splitlines()[-1] == f"Hung up. The recording is in {recording}."
    assert seconds(recording) > 1.0


async def participants(media: Media, room: str) -> set[str]:
    async with api.LiveKitAPI(media.url, API_KEY, API_SECRET) as server:
        listed = await server.room.list_participants(api.ListParticipantsRequest(room=room))
    return {participant.identity for participant in listed.participants}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(CALL_TIMEOUT_S):
        while not true():
            await asyncio.sleep(0.05)


def seconds(path: Path) -> float:
    try:
        with wave.open(str(path), "rb") as wav:
            return wav.getnframes() / wav.getframerate()
    except EOFError:  # nothing was written yet
        return 0.0
