"""Fault scripts in force: which connections, how often, by which way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from gateway.errors import ProtocolError
from gateway.faults.vocabulary import Do
from tests.wire.gateway_harness import serving

from .fault_harness import (
    BRAIN,
    CHAR_BYTES,
    FAST,
    STT,
    TTS,
    a_fault,
    answer_body,
    chat,
    faulty,
    messages_of,
    speak,
)


async def test_only_the_connections_that_are_named() -> None:
    async with faulty(a_fault("stt", "http_status", connection=2)) as (gateway, http):
        outcomes = []
        for _ in range(3):
            try:
                async with http.ws_connect(gateway.url + STT):
                    outcomes.append(101)
            except aiohttp.WSServerHandshakeError as error:
                outcomes.append(error.status)
        assert outcomes == [101, 503, 101]
        assert gateway.stats.snapshot()["stt"]["faults"] == 1


async def test_chance_is_seeded() -> None:
    async def run(seed: int) -> list[int]:
        outcomes = []
        async with faulty(a_fault("llm", "http_status", probability=0.5), seed=seed) as (
            gateway,
            http,
        ):
            for _ in range(12):
                async with http.post(gateway.url + "/chat/completions", json=chat()) as answer:
                    outcomes.append(answer.status)
        return outcomes

    first = await run(7)
    assert set(first) == {200, 503}
    assert await run(7) == first
    assert await run(8) != first


async def test_a_script_reaches_sockets_that_are_open() -> None:
    async with faulty() as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        await speak(ws, "one two.")
        assert await messages_of(ws)
        gateway.faults.set([a_fault("tts", "close", connection=1, at={"word": 3}, code=4000)])
        await speak(ws, "three four five six.")
        await messages_of(ws)
        assert ws.close_code == 4000
        assert gateway.faults.fired("close") == 1


async def test_a_script_out_of_force_leaves_open_sockets_alone() -> None:
    broken = faulty(a_fault("tts", "close", at={"word": 1}))
    async with broken as (gateway, http), http.ws_connect(gateway.url + TTS) as ws:
        gateway.faults.clear()
        text = "one two three four."
        await speak(ws, text)
        assert sum(len(message.data) for message in await messages_of(ws)) == len(text) * CHAR_BYTES


async def test_a_limit_is_for_all_connections_together() -> None:
    async with faulty(a_fault("llm", "http_status", limit=2)) as (gateway, http):
        seen = []
        for _ in range(4):
            async with http.post(gateway.url + "/chat/completions", json=chat()) as answer:
                seen.append(answer.status)
        assert seen == [503, 503, 200, 200]
        assert gateway.faults.fired("http_status") == 2


async def test_setting_a_script_counts_anew() -> None:
    async with faulty(a_fault("llm", "http_status", connection=1)) as (gateway, http):
        for status in (503, 200):
            async with http.post(gateway.url + "/chat/completions", json=chat()) as answer:
                assert answer.status == status
        gateway.faults.set([a_fault("llm", "http_status", connection=1, status=500)])
        assert gateway.faults.fired("http_status") == 0
        async with http.post(gateway.url + "/chat/completions", json=chat()) as answer:
            assert answer.status == 500


async def test_a_kept_connection_is_sound_for_its_next_request() -> None:
    fault = a_fault("llm", "drip", bytes_per_s=2_000, connection=1)
    async with faulty(fault) as (gateway, http):
        loop = asyncio.get_running_loop()
        took = []
        for _ in range(2):
            start = loop.time()
            await answer_body(http, gateway)
            took.append(loop.time() - start)
        assert took[0] > 0.5
        assert took[1] < 0.3


async def test_admin_call() -> None:
    async with serving(sim=FAST, brain=BRAIN, key="k") as (gateway, http):
        url = gateway.url.removesuffix("/v1") + "/admin/faults"
        script = {"seed": 5, "faults": [a_fault("llm", "http_status", status=500)]}
        async with http.put(url, json=script) as answer:
            assert (await answer.json())["seed"] == 5
        headers = {"Authorization": "Bearer k"}
        ask = gateway.url + "/chat/completions"
        async with http.post(ask, json=chat(), headers=headers) as answer:
            assert answer.status == 500
        async with http.get(url) as answer:
            faults = (await answer.json())["faults"]
            assert faults == [a_fault("llm", "http_status", status=500, fired=1)]
        async with http.delete(url) as answer:
            assert (await answer.json())["faults"] == []
        async with http.post(ask, json=chat(), headers=headers) as answer:
            assert answer.status == 200
        async with http.put(url, json={"faults": [{"stage": "stt"}]}) as answer:
            assert answer.status == 400
            assert "fault 1" in (await answer.json())["error"]["message"]
        async with http.put(url, json=script, headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403


async def test_a_script_that_is_wrong_leaves_the_old_one_in_force() -> None:
    async with faulty(a_fault("llm", "http_status")) as (gateway, http):
        with pytest.raises(ProtocolError):
            gateway.faults.set([a_fault("llm", "odd_bytes")])
        async with http.post(gateway.url + "/chat/completions", json=chat()) as answer:
            assert answer.status == 503


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"faults": [{"stage": "llm", "do": "http_status"}]}'),
        ("a.yaml", "faults:\n  - stage: llm\n    do: http_status\n"),
    ],
)
async def test_script_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    async with (
        serving(faults=tmp_path / name) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=chat()) as answer,
    ):
        assert answer.status == 503


def test_every_fault_has_a_test() -> None:
    folder = Path(__file__).parent
    tests = [*folder.glob("test_gateway_*.py"), *folder.glob("test_gateflow_*.py")]
    source = "".join(path.read_text() for path in tests)
    missing = [do.value for do in Do if f'"{do.value}"' not in source]
    assert missing == []
