"""Who is let in, how errors look, how it starts and stops."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.config import GatewayConfig, Limits
from gateway.errors import ConfigError, UnknownModel
from gateway.server import CannotListen, Gateway
from tests.wire.gateway_harness import eventually, serving

ROOT = Path(__file__).parents[2]
KEY = "canary-key-9c1f"
CHAT = {"model": "local/brain", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("header", [None, "Bearer wrong", KEY, f"Basic {KEY}", "Bearer \u00fc", ""])
async def test_wrong_keys_are_refused_everywhere(header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with serving(key=KEY) as (gateway, http):
        for method, path in (
            ("POST", "/chat/completions"),
            ("GET", "/models"),
            ("GET", "/audio/transcriptions/stream?model=sim/stt"),
            ("POST", "/audio/transcriptions"),
            ("GET", "/audio/speech/stream?model=sim/tts"),
            ("GET", "/nowhere"),
        ):
            async with http.request(method, gateway.url + path, headers=headers) as answer:
                error = (await answer.json())["error"]
                assert (answer.status, error["code"]) == (401, "invalid_api_key"), path
                assert KEY not in json.dumps(error)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(
                gateway.url + "/audio/speech/stream?model=sim/tts", headers=headers
            )
        assert caught.value.status == 401
        assert all(stage["opened"] == 0 for stage in gateway.stats.snapshot().values())


async def test_the_right_key_is_let_in() -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with serving(key=KEY) as (gateway, http):
        async with http.post(
            gateway.url + "/chat/completions", json=CHAT, headers=headers
        ) as answer:
            assert answer.status == 200
        async with http.ws_connect(
            gateway.url + "/audio/speech/stream?model=sim/tts", headers=headers
        ) as ws:
            assert not ws.closed


async def test_health_and_stats_need_no_key() -> None:
    async with serving(key=KEY) as (gateway, http):
        base = gateway.url.removesuffix("/v1")
        async with http.get(base + "/health") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ready"})
        async with http.get(base + "/admin/stats") as answer:
            assert await answer.json() == gateway.stats.snapshot()


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 404), ("192.0.2.7", 403)])
async def test_only_this_machine_may_ask_admin(peer: str, status: int) -> None:
    async with serving() as (gateway, _):
        transport = cast(
            asyncio.Transport,
            SimpleNamespace(
                get_extra_info=lambda name, default=None: (
                    (peer, 5) if name == "peername" else default
                ),
                is_closing=lambda: False,
            ),
        )
        runner = gateway._runner
        assert runner is not None
        request = make_mocked_request(
            "PUT", "/admin/nothing", headers={"Host": "localhost"}, transport=transport
        )
        answer = await runner.app._handle(request)
        assert answer.status == status


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
async def test_web_pages_may_not_ask_for_stats(headers: dict[str, str]) -> None:
    async with serving() as (gateway, http):
        url = gateway.url.removesuffix("/v1") + "/admin/stats"
        async with http.get(url, headers=headers) as answer:
            assert answer.status == 403


async def test_unknown_models() -> None:
    async with serving() as (gateway, http):
        async with http.post(
            gateway.url + "/chat/completions", json=CHAT | {"model": "moonshot/kimi-k2.6"}
        ) as answer:
            error = (await answer.json())["error"]
            assert (answer.status, error["code"]) == (404, "model_not_found")
        for path in ("transcriptions", "speech"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(gateway.url + f"/audio/{path}/stream?model=deepgram/nova-3")
            assert caught.value.status == 404


async def test_models_of_another_stage_are_unknown_there() -> None:
    async with serving() as (gateway, http):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(gateway.url + "/audio/speech/stream?model=sim/stt")
        assert caught.value.status == 404


async def test_aliases() -> None:
    async with serving(aliases={"moonshot/kimi-k2.6": "local/brain"}) as (gateway, http):
        async with http.post(
            gateway.url + "/chat/completions", json=CHAT | {"model": "moonshot/kimi-k2.6"}
        ) as answer:
            assert (await answer.json())["model"] == "moonshot/kimi-k2.6"
        async with http.get(gateway.url + "/models") as answer:
            names = {model["id"] for model in (await answer.json())["data"]}
        assert {"moonshot/kimi-k2.6", "local/whisper-tiny.en", "sim/tts"} <= names


def test_alias_to_nothing() -> None:
    with pytest.raises(ConfigError, match="nova"):
        Gateway(GatewayConfig(aliases={"deepgram/nova-3": "local/whisper-huge"}))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/chat/completions", 405),
        ("GET", "/audio/speech/stream?model=sim/tts", 400),
        ("GET", "/audio/speech/stream", 400),
        ("GET", "/audio/transcriptions/stream?model=sim/stt&sample_rate=8000", 400),
        ("POST", "/audio/transcriptions", 400),
    ],
)
async def test_errors_have_openais_form(method: str, path: str, status: int) -> None:
    async with serving() as (gateway, http), http.request(method, gateway.url + path) as answer:
        assert answer.status == status
        assert set((await answer.json())["error"]) == {"message", "type", "param", "code"}


async def test_large_bodies_are_refused() -> None:
    limits = Limits(max_chat_body_bytes=1_000)
    async with serving(limits=limits) as (gateway, http):
        async with http.post(gateway.url + "/chat/completions", data=b"x" * 2_000) as answer:
            assert answer.status == 413

        async def chunks() -> object:
            for _ in range(4):
                yield b"x" * 500

        async with http.post(gateway.url + "/chat/completions", data=chunks()) as answer:
            assert answer.status == 413


async def test_compression_is_off_even_when_offered() -> None:
    async with (
        serving() as (gateway, http),
        http.ws_connect(
            gateway.url + "/audio/transcriptions/stream?model=sim/stt", compress=15
        ) as ws,
    ):
        assert ws.compress == 0


async def test_the_port_is_in_use() -> None:
    async with serving() as (gateway, _):
        port = int(gateway.url.split(":")[2].split("/")[0])
        second = Gateway(GatewayConfig(port=port))
        with pytest.raises(CannotListen, match=f"port {port}: another program"):
            await second.start()


async def test_preload_of_an_unknown_model() -> None:
    with pytest.raises(UnknownModel):
        await Gateway(GatewayConfig(port=0, preload=("local/whisper-huge",))).start()


async def test_stopping_closes_open_sockets() -> None:
    async with aiohttp.ClientSession() as http:
        gateway = Gateway(GatewayConfig(port=0))
        await gateway.start()
        ws = await http.ws_connect(gateway.url + "/audio/transcriptions/stream?model=sim/stt")
        stopping = asyncio.create_task(gateway.stop())
        message = await ws.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == aiohttp.WSCloseCode.GOING_AWAY
        await ws.close()
        await asyncio.wait_for(stopping, 5)
        assert gateway.stats.snapshot()["stt"]["open"] == 0


async def test_a_peer_that_answers_no_ping_is_dropped() -> None:
    async with serving(heartbeat_s=0.2) as (gateway, http):
        ws = await http.ws_connect(
            gateway.url + "/audio/transcriptions/stream?model=sim/stt", autoping=False
        )
        assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.PING
        while (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.PING:
            pass
        await eventually(lambda: gateway.stats.snapshot()["stt"]["open"] == 0)
        await ws.close()


def test_the_key_is_never_printed() -> None:
    assert KEY not in repr(GatewayConfig(key=KEY))


# -- the command line -----------------------------------------------------------------------------


def _command(*arguments: str, prelude: str = "") -> list[str]:
    run = "import runpy; runpy.run_module('gateway', run_name='__main__', alter_sys=True)"
    code = f"import sys; sys.argv = ['gateway', *{list(arguments)!r}]; {prelude}{run}"
    return [sys.executable, "-c", code]


def _run(*arguments: str, prelude: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*arguments, prelude=prelude),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def test_help_names_every_setting() -> None:
    done = _run("--help")
    assert done.returncode == 0
    for flag in ("--host", "--port", "--key", "--extended", "--alias", "--llm-url", "--sim-script"):
        assert flag in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--alias", "a=b"), "alias"),
        (("--endpointing-ms", "0"), "endpointing_ms must be greater than zero"),
        (("--llm-url", "ftp://example.com"), "must start with http"),
        (("--sim-script", "missing.json"), "sim script"),
        (("--preload", "nothing"), "does not exist"),
        (("--host", "203.0.113.7"), "cannot listen"),
        (("--host", "no.such.host.invalid"), "cannot listen"),
        (("--faults", "missing.yaml"), "fault script"),
    ],
)
def test_wrong_settings_say_so_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = _run("--port", "0", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_package_says_so_in_one_line() -> None:
    done = _run("--port", "0", prelude="sys.modules['piper'] = None; ")
    assert done.returncode == 1
    assert "piper-tts" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_taken_port_says_so_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = _run("--port", str(taken.getsockname()[1]), "--preload", "none")
    assert done.returncode == 1
    assert "another program" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


async def test_a_fault_script_is_put_in_force_and_its_seed_is_printed(tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text('{"faults": [{"stage": "llm", "do": "http_status", "status": 418}]}')
    options = ["--port", "0", "--preload", "none", "--faults", str(script)]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "gateway", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "GATEWAY_KEY"},
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[-1]
        async with (
            aiohttp.ClientSession() as http,
            http.post(url + "/chat/completions", json=CHAT) as answer,
        ):
            assert answer.status == 418
    finally:
        process.terminate()
        _, err = await process.communicate()
    assert re.search(r"1 faults, seed \d+", err.decode())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_told_to_stop(signum: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "--port", "0", "--preload", "none"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"GATEWAY_KEY": KEY},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("gateway ready http://127.0.0.1:")
        assert line.endswith("/v1\n")
        process.send_signal(signum)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (0, "", "")
