"""The doctor in front of set-ups that are broken in one way each: it names the fault and the fix.

The media server's faults are in tests/room: they need one.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from livekit.agents.utils import shortuuid

from agent.config import Settings, load_settings
from agent.doctor.areas import Area
from agent.doctor.examine import examine
from agent.doctor.findings import Finding, Report, State
from gateway.config import SimConfig, TtsConfig
from gateway.server import Gateway

from .fault_harness import BRAIN, a_fault
from .gateway_harness import serving

KEY = f"key-{shortuuid()}"
CHAR_MS = 40
"""As fast as speech can be."""
QUICK = SimConfig(
    tts_connect_ms=0, tts_first_audio_ms=0, tts_realtime_factor=5, tts_char_ms=CHAR_MS
)


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of an agent on this machine, changed as a test wants them."""
    monkeypatch.chdir(tmp_path)

    def make(gateway: Gateway | None = None, **changed: str) -> Settings:
        env = {
            "AGENT_STT": "local:sim/stt",
            "AGENT_LLM": "local:brain",
            "AGENT_TTS": "local:sim/tts",
            "LOCAL_GATEWAY_URL": gateway.url if gateway else closed_port("http"),
        }
        for name, value in (env | changed).items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return make


def closed_port(scheme: str) -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"


async def look(settings: Settings, *areas: Area, **options: Any) -> Report:
    return await examine(settings, progress=lambda _: None, areas=areas, **options)


def one(report: Report, check: str, state: State) -> Finding:
    [finding] = [f for f in report.findings if (f.check, f.state) == (check, state)]
    return finding


async def test_nothing_is_wrong(set_up: Callable[..., Settings]) -> None:
    async with serving(sim=QUICK, brain=BRAIN) as (gateway, _):
        report = await look(set_up(gateway), Area.MACHINE, Area.STT, Area.LLM, Area.TTS)
    assert report.can_take_a_call
    assert [f for f in report.findings if f.state is State.FAIL] == []
    [score] = report.scores
    assert score.gateway == "local"
    assert score.told >= 10


async def test_wrong_key(set_up: Callable[..., Settings]) -> None:
    async with serving(key=KEY, brain=BRAIN) as (gateway, _):
        report = await look(set_up(gateway, GATEWAY_KEY="another"), Area.LLM)
        refused = one(report, "key", State.FAIL)
        assert "GATEWAY_KEY" in refused.fix
        assert not report.can_take_a_call
        report = await look(set_up(gateway, GATEWAY_KEY=KEY), Area.LLM)
        assert report.can_take_a_call
        assert one(report, "wrong key", State.OK).gateway == "local"
    assert KEY not in str(report.as_dict())


async def test_one_of_several_keys_is_wrong(set_up: Callable[..., Settings]) -> None:
    async with serving(key=KEY, brain=BRAIN) as (gateway, _):
        report = await look(set_up(gateway, GATEWAY_KEY=f"{KEY}, another"), Area.LLM)
    refused = one(report, "key", State.WARN)
    assert refused.found == "key 2 of 2 refused"
    assert "GATEWAY_KEY" in refused.fix
    assert report.can_take_a_call
    assert KEY not in str(report.as_dict())


async def test_no_key_at_all(set_up: Callable[..., Settings]) -> None:
    report = await look(set_up(AGENT_LLM="openai:gpt-4o-mini"), Area.LLM)
    assert "OPENAI_API_KEY" in one(report, "key", State.FAIL).fix


async def test_wrong_base_url(set_up: Callable[..., Settings]) -> None:
    async with serving(brain=BRAIN) as (gateway, _):
        wrong = gateway.url.removesuffix("/v1") + "/api"
        report = await look(set_up(LOCAL_GATEWAY_URL=wrong), Area.LLM)
    assert "LOCAL_GATEWAY_URL" in one(report, "address", State.FAIL).fix
    assert not report.can_take_a_call


async def test_closed_port(set_up: Callable[..., Settings]) -> None:
    report = await look(set_up(), Area.TTS)
    closed = one(report, "reachable", State.FAIL)
    assert "nothing listens" in closed.found
    assert "python -m gateway" in closed.fix


async def test_unknown_host(set_up: Callable[..., Settings]) -> None:
    """A password in the address is not shown, whatever is wrong with the address."""
    url = f"http://user:{KEY}@no-such-host.invalid/v1"
    report = await look(set_up(LOCAL_GATEWAY_URL=url), Area.STT)
    assert "LOCAL_GATEWAY_URL" in one(report, "reachable", State.FAIL).fix
    assert KEY not in str(report.as_dict())


@pytest.mark.parametrize("hours", [1, -1])
async def test_clock_off_by_an_hour(set_up: Callable[..., Settings], hours: int) -> None:
    async with serving(brain=BRAIN) as (gateway, _):
        report = await look(
            set_up(gateway), Area.LLM, wall_clock=lambda: time.time() + 3600 * hours
        )
    off = one(report, "clock", State.FAIL)
    assert ("ahead of" if hours > 0 else "behind") in off.found
    assert "timedatectl" in off.fix
    assert not report.can_take_a_call


async def test_no_media_server(set_up: Callable[..., Settings]) -> None:
    report = await look(set_up(LIVEKIT_URL=closed_port("ws")), Area.SERVER)
    assert "livekit-server --dev" in one(report, "reachable", State.FAIL).fix
    assert not report.can_take_a_call


@pytest.mark.parametrize(
    ("area", "variable", "route"),
    [
        (Area.STT, "AGENT_STT", "local:whisper-huge"),
        (Area.LLM, "AGENT_LLM", "local:brian"),
        (Area.TTS, "AGENT_TTS", "local:piper-jo"),
    ],
)
async def test_missing_model(
    set_up: Callable[..., Settings], area: Area, variable: str, route: str
) -> None:
    async with serving() as (gateway, _):
        report = await look(set_up(gateway, **{variable: route}), area)
    missing = one(report, "model", State.FAIL)
    assert variable in missing.fix
    assert "local/" in missing.fix
    assert not report.can_take_a_call


async def test_a_fallback_takes_the_call(set_up: Callable[..., Settings]) -> None:
    async with serving(brain=BRAIN) as (gateway, _):
        report = await look(set_up(gateway, AGENT_LLM="local:brian,local:brain"), Area.LLM)
    one(report, "model", State.FAIL)
    assert report.can_take_a_call


async def test_gateway_that_buffers_speech(set_up: Callable[..., Settings]) -> None:
    whole = SimConfig(
        tts_connect_ms=0, tts_first_audio_ms=1000, tts_realtime_factor=1000, tts_char_ms=CHAR_MS
    )
    async with serving(sim=whole, tts=TtsConfig(max_lead_ms=60_000)) as (gateway, _):
        report = await look(set_up(gateway), Area.TTS)
    buffers = one(report, "streams", State.WARN)
    assert "at once" in buffers.found
    assert "buffers" in buffers.fix


async def test_gateway_that_does_not_cancel(set_up: Callable[..., Settings]) -> None:
    async with serving(sim=QUICK) as (gateway, _):
        late = a_fault("tts", "audio_after_cancel", at={"message": 1}, ms=2000)
        gateway.faults.set([late], seed=1)
        report = await look(set_up(gateway), Area.TTS)
    assert "paid for" in one(report, "cancels", State.WARN).fix


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow: what a full disk or a used-up quota does to a process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_full_disk(set_up: Callable[..., Settings]) -> None:
    settings = set_up(AGENT_STORE="orders/store.db")
    with full_disk():
        report = await look(settings, Area.MACHINE)
    full = one(report, "disk orders", State.FAIL)
    assert "AGENT_STORE" in full.fix
    assert "space" in full.fix
    assert not report.can_take_a_call


@pytest.mark.timeout(120)
async def test_the_command(set_up: Callable[..., Settings]) -> None:
    """A table with the fix and an exit code; no stack trace."""
    set_up()
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(Path(__file__).parents[2] / "agent.py"), "doctor", "--only", "llm"],
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert run.returncode == 1
    assert "python -m gateway" in run.stdout
    assert "No call can be taken yet." in run.stdout
    assert "Traceback" not in run.stderr
