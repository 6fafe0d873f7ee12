"""The caller against agents whose sounds are known, over a real media server."""

from __future__ import annotations

import asyncio
import time
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from livekit import api
from livekit.agents.utils import shortuuid

from caller.activity import FRAME_S, Activity, level_dbfs
from caller.errors import AgentMissing, CallEnded, NoReply, ServerUnreachable
from caller.floor import measure_floor
from caller.room import Caller
from caller.voice import RATE, Voice
from tests.room.media import API_KEY, API_SECRET, Media, running_media
from tests.room.scripted_agent import tone_line

TIMING_ERROR_MS = 30.0
LENGTH_ERROR_S = 0.045  # a frame at each end, and two in which the codec rings


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def media(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Media]:
    async with running_media(tmp_path_factory.mktemp("media")) as running:
        yield running


@pytest.fixture
def room() -> str:
    return shortuuid("caller-")


async def test_the_transport_floor_is_measured(media: Media, room: str) -> None:
    floor = await measure_floor(media.url, API_KEY, API_SECRET, room=room, bursts=5)
    assert floor.count == 5
    # Two encoders with 20 ms packets and two jitter buffers cannot be faster; loopback adds little.
    assert 40 < floor.p50 < 300
    assert floor.least <= floor.p50 <= floor.most


async def test_a_reply_is_timed_as_it_was_spoken(media: Media, room: str) -> None:
    async with media.caller(room) as caller, media.agent(room) as agent:
        await caller.wait_for_agent()
        await asyncio.sleep(1.0)
        for wait_s in (0.3, 0.55):
            began = time.monotonic()
            answering = asyncio.create_task(agent.answers(began, tone_line(0.6), wait_s=wait_s))
            spoken = await caller.say("question")
            heard = await caller.hear_reply()
            answer = await answering
            one_way = await agent.hears_onset(began) - spoken.onset_s
            true_ms = (answer.onset_s + one_way - spoken.end_s) * 1000
            assert heard.reply_ms == pytest.approx(true_ms, abs=TIMING_ERROR_MS)
            true_s = answer.end_s - answer.onset_s
            assert heard.end_s - heard.onset_s == pytest.approx(true_s, abs=LENGTH_ERROR_S)
            assert heard.barge_in_stop_ms is None
            assert spoken.stutter_ms < TIMING_ERROR_MS


async def test_a_delay_of_the_agent_is_found_on_top_of_the_floor(media: Media, room: str) -> None:
    delay_s = 0.5
    floor = await measure_floor(media.url, API_KEY, API_SECRET, room=room, bursts=3)
    late = room + "-late"
    onsets_ms = []
    async with media.caller(late) as caller, media.echo(late, delay_s=delay_s):
        await caller.wait_for_agent()
        for _ in range(4):  # the jitter buffers shrink to their depth under the first ones
            spoken = await caller.say("hello")
            heard = await caller.hear_reply()
            onsets_ms.append((heard.onset_s - spoken.onset_s) * 1000)
    assert min(onsets_ms) == pytest.approx(delay_s * 1000 + floor.least, abs=TIMING_ERROR_MS)


async def test_pauses_of_the_agent_do_not_end_its_reply(media: Media, room: str) -> None:
    async with media.caller(room) as caller, media.agent(room) as agent:
        await caller.wait_for_agent()
        line = tone_line(2.0, gap_at=0.8)
        speaking = asyncio.create_task(agent.mouth.speak(line))
        heard = await caller.hear_reply()
        await speaking
    assert heard.end_s - heard.onset_s == pytest.approx(2.0, abs=LENGTH_ERROR_S)
    assert heard.reply_ms is None


async def test_a_barge_in_is_timed_from_onset_to_silence(media: Media, room: str) -> None:
    async with media.caller(room) as caller, media.agent(room) as agent:
        await caller.wait_for_agent()
        await asyncio.sleep(1.0)
        began = time.monotonic()
        talking = asyncio.create_task(agent.speaks_until_interrupted(tone_line(8.0), wait_s=0.25))
        spoken = await caller.barge_in("stop", after_ms=900)
        silent_at = await talking
        answering = asyncio.create_task(agent.answers(spoken.onset_s, tone_line(0.6), wait_s=0.9))
        heard = await caller.hear_reply()
        await answering
        one_way = await agent.hears_onset(began) - spoken.onset_s
    assert heard.before is not None
    assert (spoken.onset_s - heard.before.onset_s) * 1000 == pytest.approx(900, abs=20)
    true_ms = (silent_at + one_way - spoken.onset_s) * 1000
    assert heard.barge_in_stop_ms == pytest.approx(true_ms, abs=TIMING_ERROR_MS)
    assert heard.reply_ms is not None
    assert heard.reply_ms > 0


async def test_an_agent_that_cuts_in_and_gives_way_has_not_replied_yet(
    media: Media, room: str, tmp_path: Path
) -> None:
    question = tmp_path / "question.wav"
    with wave.open(str(question), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes(tone_line(2.0).samples.tobytes())
    async with media.caller(room) as caller, media.agent(room) as agent:
        await caller.wait_for_agent()
        began = time.monotonic()

        async def cut_in_and_answer() -> None:
            await agent.hears_onset(began)
            await agent.mouth.speak(tone_line(0.3))
            await agent.answers(began, tone_line(0.6), wait_s=0.4)

        answering = asyncio.create_task(cut_in_and_answer())
        await caller.say(question)
        heard = await caller.hear_reply()
        await answering
    assert heard.cut_ins == 1
    assert heard.before is None
    assert heard.reply_ms is not None
    assert heard.reply_ms > 400
    assert heard.end_s - heard.onset_s == pytest.approx(0.6, abs=LENGTH_ERROR_S)


async def test_both_sides_are_recorded_on_one_timeline(
    media: Media, room: str, tmp_path: Path
) -> None:
    path = tmp_path / "call.wav"
    async with media.caller(room, record=path) as caller, media.echo(room, delay_s=0.4):
        await caller.wait_for_agent()
        await asyncio.sleep(1.0)
        spoken = await caller.say("hello")
        heard = await caller.hear_reply()
    (mine,), (its,) = recorded(path)
    assert its - mine == pytest.approx(heard.onset_s - spoken.onset_s, abs=0.02)


async def test_the_end_of_the_room_is_a_hang_up(media: Media, room: str) -> None:
    async with media.caller(room) as caller, media.agent(room) as agent:
        await caller.wait_for_agent()
        waiting = asyncio.create_task(caller.hear_reply())
        async with api.LiveKitAPI(media.url, API_KEY, API_SECRET) as server:
            await server.room.delete_room(api.DeleteRoomRequest(room=room))
        assert await caller.wait_for_end(5.0)
        assert caller.ended_reason == "the agent hung up"
        with pytest.raises(CallEnded, match="the agent hung up"):
            await waiting
        with pytest.raises(CallEnded, match="before the caller spoke"):
            await caller.say("anybody there?")
        await agent.leave()


async def test_an_agent_that_leaves_has_hung_up_and_what_it_said_counts(
    media: Media, room: str
) -> None:
    async with media.caller(room) as caller, media.agent(room) as agent:
        await caller.wait_for_agent()
        hearing = asyncio.create_task(caller.hear_reply())
        await agent.mouth.speak(tone_line(0.8))
        await asyncio.sleep(0.25)  # its last sound is on its way
        await agent.leave()
        heard = await hearing
        assert heard.end_s - heard.onset_s == pytest.approx(0.8, abs=LENGTH_ERROR_S)
        assert await caller.wait_for_end(5.0)
        assert caller.ended_reason == "the agent hung up"


async def test_an_agent_that_says_nothing_is_told_so(media: Media, room: str) -> None:
    async with media.caller(room) as caller, media.agent(room):
        await caller.wait_for_agent()
        await caller.say("hello?")
        with pytest.raises(NoReply, match="said nothing for 1 s"):
            await caller.hear_reply(timeout_s=1.0)


async def test_an_agent_that_never_comes_is_told_so(media: Media, room: str) -> None:
    async with media.caller(room) as caller:
        with pytest.raises(AgentMissing, match=r"No agent came within 0\.5 s"):
            await caller.wait_for_agent(0.5)


async def test_a_wrong_key_is_told_so(media: Media, room: str) -> None:
    caller = Caller(media.url, API_KEY, "not-" + API_SECRET, room=room, voice=Voice())
    with pytest.raises(ServerUnreachable, match="refuses the key") as caught:
        async with caller:
            pass
    assert API_SECRET not in str(caught.value)


async def test_transcripts_keep_interims_before_finals(media: Media, room: str) -> None:
    async with media.caller(room) as caller, media.agent(room) as agent:
        await caller.wait_for_agent()
        local = agent.room.local_participant
        for text, final in (("where", "false"), ("where is", "false"), ("Where is it?", "true")):
            await local.send_text(
                text,
                topic="lk.transcription",
                attributes={"lk.segment_id": "u1", "lk.transcription_final": final},
            )
        writer = await local.stream_text(
            topic="lk.transcription",
            attributes={"lk.segment_id": "a1", "lk.transcription_final": "false"},
        )
        await writer.write("It is ")
        await until(lambda: any(s.text == "It is " for s in caller.transcript.segments))
        await writer.write("here.")
        await writer.aclose(attributes={"lk.transcription_final": "true"})
        broken = await local.stream_text(
            topic="lk.transcription",
            attributes={"lk.segment_id": "a2", "lk.transcription_final": "false"},
        )
        await broken.write("And")
        await until(lambda: any(s.text == "And" for s in caller.transcript.segments))
        await agent.leave()
        await caller.wait_for_end(5.0)
    mine, its, cut = caller.transcript.segments
    assert (mine.interims, mine.text, mine.final) == (["where", "where is"], "Where is it?", True)
    assert (its.text, its.final) == ("It is here.", True)
    assert its.interims[0] == "It is "
    assert (cut.text, cut.final) == ("And", False)


async def until(true: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.02)


def recorded(path: Path) -> tuple[list[float], list[float]]:
    """The onsets on both sides of a recording, seconds."""
    with wave.open(str(path), "rb") as wav:
        both = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").reshape(-1, 2)
    sides: list[list[float]] = []
    frame = round(RATE * FRAME_S)
    for side in (0, 1):
        activity = Activity()
        for i in range(0, len(both) - frame + 1, frame):
            activity.push(i / RATE, level_dbfs(both[i : i + frame, side].astype(np.int16)))
        sides.append([span.start for span in activity.spans])
    return sides[0], sides[1]
