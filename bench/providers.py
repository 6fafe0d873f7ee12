"""`docs/providers.md`: what each provider can do, asked of the local gateway, never typed.

`python -m bench.providers` prints the page; `--write` writes it.
"""

from __future__ import annotations

import asyncio
import wave
from typing import Annotated

import aiohttp
import typer
from livekit.plugins import aigateway

from bench.abilities import KEY, RECORDING, Table, probe
from bench.encodings import RATE_HZ, Encoded, measure
from caller.wer import wer
from demo.binaries import ROOT
from gateway.config import LOCAL_MODELS, GatewayConfig
from gateway.server import Gateway

FILE = ROOT / "docs" / "providers.md"
TRANSCRIPT = (
    "It was the best of times, it was the worst of times. It was the age of wisdom, it was the age "
    "of foolishness. It was the epoch of belief, it was the epoch of incredulity."
)
ENCODINGS: tuple[aigateway.STTEncoding, ...] = ("linear16", "opus")

HEAD = """\
# Providers

Who can serve which stage of a call, and what its wire form can do. `AGENT_STT`, `AGENT_LLM` and
`AGENT_TTS` take these names (`provider:model[:voice]`), `AGENT_REALTIME` takes
`provider:template[:transport]`; `.env.example` has the accounts. `local` is the local gateway in
AIgateway's wire form, with the same abilities as `aigateway`.

Made by `make providers`, not by hand: each provider's client, as the agent's settings choose it,
was used against the local gateway, and a cell says whether the thing happened. A real provider
may offer more than its documentation, and so the local gateway, shows.
"""

NOTES = """\
What the cells do not say:

- **gateflow** takes whole stretches of speech, which a detector in the worker cuts; its partials
  come while a stretch is being transcribed, after it was said. The plugin's README has the rest
  of what its wire form cannot do.
- **gateflow, websocket** answers by itself: nothing asks for a reply, nothing marks a reply's
  end, and nothing tells that the caller speaks. The worker therefore interrupts by its own
  detector, and `AGENT_STT` listens along for captions and goodbyes.
- **gateflow, pipeline** answers each turn as if it were the first, and is told no instructions.
- **Realtime models have no tools**: the agent says that it cannot look anything up. What it says
  by itself (greeting, farewell, apologies) comes from `AGENT_TTS`.
- **key terms** are those of `AGENT_KEYTERMS`, and names that tools find in a call, such as a
  product's.
"""

PROFILE = """\
## A profile

Deepgram hears and speaks, OpenAI thinks:

```sh
AGENT_STT=deepgram:nova-3
AGENT_LLM=openai:gpt-4o-mini
AGENT_TTS=deepgram:aura-2-thalia-en   # or elevenlabs:eleven_turbo_v2_5
AGENT_KEYTERMS="Parley|desk lamp"     # names that tools find are added in the call
AGENT_LLM_MAX_TOKENS=60
AGENT_ALLOW_INTERRUPT=true            # false: callers cannot speak over the agent
```

Every turn is one line of the log, `turn`, whose `total_ms` is what the caller waited from its last
word to the agent's first sound; `parts` says for what.
"""

BANDWIDTH = """\
## Bandwidth of the caller's audio

`AIGATEWAY_STT_ENCODING=opus` sends the caller's audio to AIgateway as Opus packets (the
`deepgram` dialect's `encoding=opus`). The recording of the tests (a human voice, 13 s, 30 words
and some) through plugin and local gateway to Whisper tiny.en, both ways:
"""


def abilities(tables: list[Table]) -> str:
    """The tables as Markdown."""
    return "\n".join(_markdown(table) for table in tables)


def page(tables: list[Table], encoded: dict[str, Encoded]) -> str:
    """The whole page."""
    return "\n".join((HEAD, abilities(tables), NOTES, PROFILE, BANDWIDTH, _bandwidth(encoded)))


def _markdown(table: Table) -> str:
    lines = [
        f"## {table.title}",
        "",
        f"| provider | {' | '.join(table.columns)} |",
        f"| --- |{' --- |' * len(table.columns)}",
    ]
    for provider, cells in table.rows.items():
        said = " | ".join("yes" if cell else "no" for cell in cells)
        lines.append(f"| {provider} | {said} |")
    return "\n".join([*lines, ""])


def _bandwidth(encoded: dict[str, Encoded]) -> str:
    lines = ["| encoding | kB a second | word errors |", "| --- | --- | --- |"]
    for name, result in encoded.items():
        errors = wer(TRANSCRIPT, result.text)
        lines.append(f"| {name} | {result.bytes_per_s / 1000:.1f} | {errors:.1%} |")
    return "\n".join([*lines, ""])


async def encode() -> dict[str, Encoded]:
    """Send the recording in each encoding.

    Raises:
        TimeoutError: The local gateway took too long.
    """
    with wave.open(str(RECORDING)) as recording:
        assert recording.getframerate() == RATE_HZ
        pcm = recording.readframes(recording.getnframes())
    config = GatewayConfig(port=0, key=KEY, stand_ins=LOCAL_MODELS)
    async with Gateway(config) as gateway, aiohttp.ClientSession() as http:
        return {
            name: await measure(pcm, encoding=name, gateway=gateway.url, key=KEY, http=http)
            for name in ENCODINGS
        }


async def _make() -> str:
    return page(await probe(), await encode())


def main(
    write: Annotated[bool, typer.Option("--write", help="Write docs/providers.md.")] = False,
) -> None:
    """Ask the local gateway what each provider can do, and print it as Markdown."""
    text = asyncio.run(_make())
    if write:
        FILE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    typer.run(main)
