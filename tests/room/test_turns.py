"""Turns in a real room over scripted engines with set latencies: what is waited for; noises."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bench.noises import cough
from caller.room import Caller
from caller.voice import RATE
from demo.stack import HOST, Ports, Stack, StackConfig

LINE = "will my new lamp arrive on Monday"
MURMUR = "Mhm."
TTS_CONNECT_MS = 1200
INJECTED_MS = 700
"""Far more than a loaded machine adds by itself, and less than what a plugin would give up at."""
SEEN_MS = 0.75 * INJECTED_MS
NOISE_MS = 0.6 * INJECTED_MS
LONG_REPLY = "Your lamp left the warehouse this morning and it comes to your door on Monday at noon"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("turns")
    script = {
        "cursor": "connection",
        "utterances": [
            {"text": LINE, "word_ms": 230, "reply": LONG_REPLY},
            {"words": []},  # a cough has none
            {"text": "mhm", "word_ms": 200},
            *[{"text": LINE, "word_ms": 230, "reply": "It does, on Monday."} for _ in range(4)],
        ],
    }
    (folder / "script.json").write_text(json.dumps(script))
    routes = {"AGENT_STT": "local:sim/stt", "AGENT_LLM": "local:sim/llm"}
    config = StackConfig(
        ports=Ports.free(),
        folder=folder,
        worker_env={
            **routes,
            "AGENT_TTS": "local:sim/tts",
            "AGENT_GREETING": "",
            "AGENT_OPENERS": "",
            "AGENT_PHRASES": str(folder / "phrases"),
        },
        gateway_args=[
            *("--preload", "none", "--sim-script", str(folder / "script.json")),
            *("--sim-tts-connect-ms", str(TTS_CONNECT_MS)),
        ],
    )
    async with Stack(config) as running:
        yield running


async def test_noises_stop_nothing_and_delays_show_where_they_arise(
    call: Callable[..., Caller], stack: Stack, tmp_path: Path
) -> None:
    await call().voice.prepare([LINE, MURMUR])
    async with call() as caller:
        await caller.wait_for_agent()
        await asyncio.sleep(2.0)  # the voice's first socket connects meanwhile

        # A cough and a murmur into a reply: it is said to its end, and answers nothing else.
        await caller.say(LINE)
        await caller.barge_in(write_cough(tmp_path / "cough.wav"), after_ms=700)
        await asyncio.sleep(2.0)
        await caller.say(MURMUR)
        [noisy] = await records(stack, 1)
        assert not noisy["interrupted"]
        assert noisy["llm_requests"] <= 2
        async with asyncio.timeout(10):  # captions follow the sound
            while not said_by_agent(caller).endswith(LONG_REPLY):
                await asyncio.sleep(0.05)

        listening = (await stack.gateway_stats())["stt"]["opened"]

        # A delay at the gateway: its own part of the turn grows, the others do not.
        parts = []
        for number, stage in enumerate(("", "stt", "llm", "tts"), start=2):
            await inject(stack, stage)
            await caller.say(LINE)
            await caller.hear_reply()
            record = (await records(stack, number))[-1]
            assert sum(p["ms"] for p in record["parts"]) == pytest.approx(record["total_ms"], abs=1)
            parts.append({part["name"]: part["ms"] for part in record["parts"]})
        assert (await stack.gateway_stats())["stt"]["opened"] == listening
    plain, *delayed = parts
    for stage, with_delay in zip(("stt", "llm", "tts"), delayed, strict=True):
        grown = {name: with_delay[name] - plain[name] for name in plain}
        assert grown.pop(stage) >= SEEN_MS, (stage, plain, with_delay)
        assert max(grown.values()) < NOISE_MS, (stage, plain, with_delay)
    # Every reply found its voice connected, which takes TTS_CONNECT_MS.
    assert plain["tts"] < TTS_CONNECT_MS / 2


def said_by_agent(caller: Caller) -> str:
    segments = caller.transcript.segments
    return " ".join(s.text for s in segments if s.speaker != caller.identity).strip()


async def inject(stack: Stack, stage: str) -> None:
    """Let the gateway write what belongs to a stage later; "" for nothing."""
    faults = [{"stage": stage, "do": "delay", "ms": INJECTED_MS}] if stage else []
    url = f"http://{HOST}:{stack.config.ports.gateway}/admin/faults"
    async with aiohttp.ClientSession() as http, http.put(url, json={"faults": faults}) as answer:
        answer.raise_for_status()


async def records(stack: Stack, count: int, timeout_s: float = 30.0) -> list[dict[str, Any]]:
    """The turns that the worker has logged, once there are `count` of them."""
    async with asyncio.timeout(timeout_s):
        while len(found := logged(stack)) < count:
            await asyncio.sleep(0.05)
    assert len(found) == count
    return found


def logged(stack: Stack) -> list[dict[str, Any]]:
    lines = (stack.folder / "worker.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if '"parley.turn"' in line]
    return [entry for entry in entries if "parts" in entry]


def write_cough(path: Path) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes(cough(rate=RATE, seed=1).tobytes())
    return path
