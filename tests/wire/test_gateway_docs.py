"""docs/gateway.md is true to the letter: its flags, its limits, its examples."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from typer.core import TyperOption

from gateway.__main__ import app
from gateway.config import GatewayConfig, Limits, SimConfig
from gateway.engines.sim.script import SimScript
from tests.wire.gateway_harness import serving

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "gateway.md").read_text()


def test_every_flag_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(--[\w-]+)`[^|]*\| ([^|]*) \|", DOCS, re.MULTILINE))
    flags: dict[str, str] = {}
    for parameter in typer.main.get_command(app).params:
        if isinstance(parameter, TyperOption) and parameter.name != "help":
            default = parameter.default
            shown = "" if default in (None, False, []) or callable(default) else f"`{default}`"
            flags[parameter.opts[0]] = shown
    assert {flag: default.strip() for flag, default in rows.items()} == flags


def test_every_limit() -> None:
    section = DOCS.split("## Limits")[1]
    for limit in fields(Limits):
        assert f"`{limit.name}`" in section


def test_the_sim_script(tmp_path: Path) -> None:
    example = DOCS.split("## The sim engines")[1].split("```")[1]
    path = tmp_path / "script.json"
    path.write_text(example)
    script = SimScript.load(SimConfig(script=path))
    assert script.utterances[1].reply is not None
    assert script.reply_to("Where is my order?").text == "It is on its way."
    assert json.loads(example)["cursor"] == script.cursor


def test_models_are_told() -> None:
    for model in GatewayConfig().whisper_models:
        assert f"`local/whisper-{model}`" in DOCS


@pytest.mark.timeout(120)
async def test_the_python_example(tmp_path: Path) -> None:
    code = textwrap.dedent(DOCS.split("```python")[1].split("```")[0])
    async with serving(preload=("local/whisper-tiny.en", "local/piper-joe")) as (gateway, _):
        code = code.replace("ws://localhost:8787/v1", gateway.url.replace("http", "ws"))
        code = code.replace('"hello.wav"', repr(str(tmp_path / "hello.wav")))
        process = await _run(code)
    assert '"is_final":true' in process
    assert "best of times" in process
    assert (tmp_path / "hello.wav").stat().st_size > 20_000


async def _run(code: str) -> str:
    import asyncio

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()
