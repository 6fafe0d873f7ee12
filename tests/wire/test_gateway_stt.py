"""Speech to text over a real socket, with the scripted recogniser whose every word is known."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.config import SimConfig
from tests.wire.gateway_harness import eventually, hear, serving, silence, tone

PATH = "/audio/transcriptions/stream?model=sim/stt"
ORDER = "what is the status of my order"


def _script(folder: Path, **fields: Any) -> SimConfig:
    path = folder / "script.json"
    path.write_text(json.dumps(fields))
    return SimConfig(script=path)


async def test_strict_messages_have_two_fields() -> None:
    async with serving() as (gateway, http):
        heard = await hear(http, gateway.url + PATH, silence(0.1) + tone(1.0) + silence(0.3))
    assert heard.messages
    assert all(set(message) == {"is_final", "transcript"} for _, message in heard.messages)
    assert heard.finals == [ORDER]
    assert heard.close_code == 1000


async def test_a_partial_holds_only_words_that_ended_a_lag_ago_and_the_final_is_on_time() -> None:
    onset, length = 0.2, 2.0
    async with serving() as (gateway, http):
        heard = await hear(http, gateway.url + PATH, silence(onset) + tone(length) + silence(0.5))
    words = ORDER.split()
    assert len(heard.partials) >= 12
    for at, text in heard.partials:
        ended = [i for i in range(len(words)) if 0.28 * (i + 1) <= at - onset - 0.1 + 0.03]
        assert text.split() == words[: len(text.split())]
        assert len(text.split()) <= len(ended)
    final_at = next(at for at, message in heard.messages if message["is_final"])
    assert final_at == pytest.approx(onset + length + 0.14, abs=0.05)
    gaps = [b - a for (a, _), (b, _) in zip(heard.partials, heard.partials[1:], strict=False)]
    assert max(gaps) < 0.2


async def test_inner_pauses_shorter_than_the_final_lag_are_bridged() -> None:
    async with serving() as (gateway, http):
        pcm = tone(0.5) + silence(0.1) + tone(0.5) + silence(0.4)
        assert (await hear(http, gateway.url + PATH, pcm)).finals == [ORDER]
        pcm = tone(0.5) + silence(0.3) + tone(0.5) + silence(0.4)
        assert (await hear(http, gateway.url + PATH, pcm)).finals == [ORDER, ORDER]


async def test_scripted_words_follow_each_other(tmp_path: Path) -> None:
    sim = _script(
        tmp_path,
        utterances=[
            {"words": [{"word": "hello", "end_ms": 100}, {"word": "you", "end_ms": 250}]},
            {"text": "second one", "word_ms": 50},
        ],
    )
    async with serving(sim=sim) as (gateway, http):
        pcm = (tone(0.3) + silence(0.3)) * 3
        for _ in range(2):  # each connection hears the script from its start
            heard = await hear(http, gateway.url + PATH, pcm)
            assert heard.finals == ["hello you", "second one", "hello you"]


async def test_a_shared_cursor_hears_an_unfinished_utterance_again(tmp_path: Path) -> None:
    sim = _script(
        tmp_path, cursor="gateway", utterances=[{"text": "one two"}, {"text": "three four"}]
    )
    async with serving(sim=sim) as (gateway, http):
        url = gateway.url + PATH
        assert (await hear(http, url, tone(0.4) + silence(0.3))).finals == ["one two"]
        async with http.ws_connect(url) as ws:
            await ws.send_bytes(tone(0.4))
        replayed = await hear(http, url, tone(0.4) + silence(0.3), realtime=False)
        assert replayed.finals == ["three four"]


async def test_a_burst_is_caught_up_with_at_once() -> None:
    async with serving() as (gateway, http):
        heard = await hear(
            http,
            gateway.url + PATH,
            tone(3.0) + silence(0.5) + tone(1) + silence(0.5),
            realtime=False,
        )
    assert heard.finals == [ORDER, ORDER]
    assert heard.at(-1) < 1.0


async def test_late_frames_do_not_make_the_final_late() -> None:
    """The clock is that of the least delayed audio: jitter is not mistaken for speech."""
    async with serving() as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        loop = asyncio.get_running_loop()
        start = loop.time()
        pcm = tone(0.6) + silence(0.3)
        for index in range(0, len(pcm), 640):
            end_s = (index + 640) / 32_000
            late_s = 0.07 if end_s > 0.6 else 0.0
            await asyncio.sleep(start + end_s + late_s - loop.time())
            await ws.send_bytes(pcm[index : index + 640])
            if end_s > 0.7:
                break
        async with asyncio.timeout(5):
            [final] = [m async for m in _until_final(ws) if m["is_final"]]
        assert final["transcript"] == ORDER
        assert loop.time() - start < 0.6 + 0.14 + 0.055


async def test_a_late_network_does_not_end_an_utterance() -> None:
    async with serving() as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        await ws.send_bytes(tone(0.5))
        await asyncio.sleep(0.9)
        await ws.send_bytes(tone(0.5) + silence(0.3))
        await ws.send_str('{"type":"CloseStream"}')
        finals = [m async for m in _messages(ws) if m["is_final"]]
        assert [m["transcript"] for m in finals] == [ORDER]


async def _messages(ws: aiohttp.ClientWebSocketResponse) -> Any:
    async for message in ws:
        yield json.loads(message.data)


async def test_finalize_tells_the_words_so_far_and_leaves_the_socket_open() -> None:
    async with serving() as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        await ws.send_bytes(tone(0.6))
        await ws.send_str('{"type":"Finalize"}')
        async with asyncio.timeout(5):
            async for message in _messages(ws):
                if message["is_final"]:
                    assert message["transcript"] == "what is"
                    break
        assert not ws.closed


async def test_close_stream_without_audio_closes_at_once() -> None:
    async with serving() as (gateway, http):
        heard = await hear(http, gateway.url + PATH, b"")
        assert (heard.messages, heard.close_code) == ([], 1000)
        await eventually(lambda: gateway.stats.snapshot()["stt"]["completed"] == 1)


async def test_keep_alive_and_unknown_text_are_ignored() -> None:
    async with serving() as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        for text in ('{"type":"KeepAlive"}', '{"type":"Configure","x":1}', "{}"):
            await ws.send_str(text)
        await ws.send_bytes(tone(0.5) + silence(0.3))
        async with asyncio.timeout(5):
            assert [m async for m in _until_final(ws)][-1]["transcript"] == ORDER


async def _until_final(ws: aiohttp.ClientWebSocketResponse) -> Any:
    async for message in _messages(ws):
        yield message
        if message["is_final"]:
            return


@pytest.mark.parametrize(
    "wrong", ["Finalize", "[]", '{"type": NaN}', "[" * 50_000, '{"a": "\\ud800"}']
)
async def test_hostile_text_closes_the_socket(wrong: str) -> None:
    async with serving() as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        await ws.send_str(wrong)
        message = await ws.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        await eventually(lambda: gateway.stats.snapshot()["stt"]["errors"] == 1)


async def test_a_frame_beyond_the_limit_closes_with_1009() -> None:
    async with serving() as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        await ws.send_bytes(bytes(1024 * 1024 + 2))
        message = await ws.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)
        await eventually(lambda: gateway.stats.snapshot()["stt"]["errors"] == 1)


async def test_extended_messages_have_deepgrams_shape() -> None:
    async with serving(extended=True) as (gateway, http):
        pcm = silence(0.2) + tone(1.0) + silence(0.3)
        heard = await hear(http, gateway.url + PATH + "&vad_events=true", pcm)
    kinds = [message["type"] for _, message in heard.messages]
    assert kinds[0] == "SpeechStarted"
    assert kinds[-1] == "Metadata"
    final = next(m for _, m in heard.messages if m.get("is_final"))
    assert final["speech_final"]
    assert final["start"] == pytest.approx(0.2, abs=0.02)
    assert final["duration"] == pytest.approx(1.0, abs=0.02)
    alternative = final["channel"]["alternatives"][0]
    assert alternative["transcript"] == ORDER
    assert [word["word"] for word in alternative["words"]] == ORDER.split()
    assert alternative["words"][0]["end"] == pytest.approx(0.48, abs=0.02)
    ids = {m["metadata"]["request_id"] for _, m in heard.messages if "metadata" in m}
    assert len(ids) == 1


async def test_partials_can_be_switched_off() -> None:
    async with serving() as (gateway, http):
        heard = await hear(
            http, gateway.url + PATH + "&interim_results=false", tone(1.0) + silence(0.3)
        )
    assert [message["is_final"] for _, message in heard.messages] == [True]


@pytest.mark.parametrize(
    ("audio", "outcome"), [(tone(0.5), "closed_by_client"), (b"", "completed")]
)
async def test_leaving_in_mid_utterance_is_counted(audio: bytes, outcome: str) -> None:
    async with serving() as (gateway, http):
        async with http.ws_connect(gateway.url + PATH) as ws:
            await ws.send_bytes(audio)
            await asyncio.sleep(0.1)
        await eventually(lambda: gateway.stats.snapshot()["stt"]["open"] == 0)
        assert gateway.stats.snapshot()["stt"][outcome] == 1


async def test_odd_frames_lose_nothing() -> None:
    pcm = tone(0.5) + silence(0.3)
    async with serving() as (gateway, http), http.ws_connect(gateway.url + PATH) as ws:
        for start in range(0, len(pcm), 777):
            await ws.send_bytes(pcm[start : start + 777])
            await ws.send_bytes(b"")
        await ws.send_str('{"type":"CloseStream"}')
        async with asyncio.timeout(5):
            finals = [m["transcript"] async for m in _messages(ws) if m["is_final"]]
        assert finals == [ORDER]


async def test_upload_is_counted_and_checked() -> None:
    async with serving() as (gateway, http):
        form = aiohttp.FormData()
        form.add_field("model", "sim/stt")
        form.add_field("file", b"not a recording", filename="a.wav")
        async with http.post(gateway.url + "/audio/transcriptions", data=form) as answer:
            assert answer.status == 400
        assert gateway.stats.snapshot()["stt"]["errors"] == 1
