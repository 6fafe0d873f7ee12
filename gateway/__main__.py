"""Command line: `python -m gateway`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.config import (
    DEFAULT_PRELOAD,
    LOCAL_MODELS,
    BrainConfig,
    GatewayConfig,
    SimConfig,
    SttConfig,
    TtsConfig,
    UpstreamConfig,
)
from gateway.errors import GatewayError
from gateway.server import Gateway

EXIT_FAILED = 1


class LogLevel(StrEnum):
    """Levels of the standard library's logging."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_defaults = GatewayConfig()
_PANEL_SPEECH = "Speech engines"
_PANEL_MIND = "Language model"
_PANEL_SIM = "Scripted engines (sim/…)"


def _pairs(values: list[str], *, flag: str, name_from_path: bool = False) -> dict[str, str]:
    """Read NAME=VALUE flags; with `name_from_path`, a bare value names itself."""
    pairs = {}
    for value in values:
        name, equals, target = value.partition("=")
        if not equals and name_from_path:
            name, target = Path(value).stem, value
        if not name or not target:
            raise typer.BadParameter(f"{flag} wants NAME=VALUE, got {value!r}")
        pairs[name] = target
    return pairs


async def _serve(config: GatewayConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    gateway = Gateway(config)
    starting = asyncio.create_task(gateway.start())
    stopping = asyncio.create_task(stop.wait())
    # Loading engines takes seconds: a Ctrl-C meanwhile must not wait for it.
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    try:
        if stopping.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        print(f"gateway ready {gateway.url}", flush=True)
        await stopping
    finally:
        stopping.cancel()
        await gateway.stop()


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = _defaults.host,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = (
        _defaults.port
    ),
    key: Annotated[
        str | None,
        typer.Option(
            envvar="GATEWAY_KEY",
            show_envvar=True,
            help="Bearer key that clients must present. Prefer the variable: flags show in ps.",
        ),
    ] = None,
    extended: Annotated[
        bool,
        typer.Option(
            "--extended",
            help="Send more than AIgateway documents: Deepgram's Results with word times, "
            "end-of-audio markers, request ids.",
        ),
    ] = False,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="Let NAME stand for a local model, e.g. deepgram/nova-3=local/whisper-tiny.en. "
            "May be given several times.",
        ),
    ] = None,
    stand_in: Annotated[
        bool,
        typer.Option(
            "--stand-in",
            help="Let local engines answer for every model that is not known here, so that a "
            "client set up for other vendors runs unchanged.",
        ),
    ] = False,
    preload: Annotated[
        str,
        typer.Option(
            metavar="MODELS",
            help="Comma-separated models to load before the gateway is ready, or 'none'. "
            "Others are loaded when first asked for.",
        ),
    ] = ",".join(DEFAULT_PRELOAD),
    whisper_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MODEL",
            help="Serve a faster-whisper model (name or folder) as local/whisper-NAME. "
            "May be given several times.",
            rich_help_panel=_PANEL_SPEECH,
        ),
    ] = None,
    piper_voice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE",
            help="Serve a Piper voice (.onnx with its .onnx.json) as local/piper-NAME. "
            "May be given several times.",
            rich_help_panel=_PANEL_SPEECH,
        ),
    ] = None,
    endpointing_ms: Annotated[
        int, typer.Option(help="Silence that ends an utterance.", rich_help_panel=_PANEL_SPEECH)
    ] = _defaults.stt.endpointing_ms,
    partial_interval_ms: Annotated[
        int, typer.Option(help="Audio between two partials.", rich_help_panel=_PANEL_SPEECH)
    ] = _defaults.stt.partial_interval_ms,
    stt_threads: Annotated[
        int, typer.Option(help="Threads of one recognition.", rich_help_panel=_PANEL_SPEECH)
    ] = _defaults.stt.cpu_threads,
    tts_threads: Annotated[
        int, typer.Option(help="Threads of one synthesis.", rich_help_panel=_PANEL_SPEECH)
    ] = _defaults.tts.cpu_threads,
    tts_max_lead_ms: Annotated[
        int,
        typer.Option(
            help="How far audio may be sent ahead of its playback.", rich_help_panel=_PANEL_SPEECH
        ),
    ] = _defaults.tts.max_lead_ms,
    llm_url: Annotated[
        str | None,
        typer.Option(
            help="Base URL (up to /v1) of an OpenAI-compatible server that answers for local/brain "
            "and for every model not known here.",
            rich_help_panel=_PANEL_MIND,
        ),
    ] = None,
    llm_key_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE",
            help="Environment variable with the key for --llm-url.",
            rich_help_panel=_PANEL_MIND,
        ),
    ] = None,
    llm_model: Annotated[
        str | None,
        typer.Option(
            help="Model name to send to --llm-url instead of the client's.",
            rich_help_panel=_PANEL_MIND,
        ),
    ] = None,
    brain_first_token_ms: Annotated[
        int, typer.Option(help="First token of local/brain.", rich_help_panel=_PANEL_MIND)
    ] = _defaults.brain.first_token_ms,
    brain_words_per_s: Annotated[
        float, typer.Option(help="Pace of local/brain.", rich_help_panel=_PANEL_MIND)
    ] = _defaults.brain.words_per_s,
    sim_script: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="JSON file with what is said and answered.",
            rich_help_panel=_PANEL_SIM,
        ),
    ] = None,
    sim_word_ms: Annotated[
        int,
        typer.Option(
            help="Length of a word where the script has no times.", rich_help_panel=_PANEL_SIM
        ),
    ] = _defaults.sim.word_ms,
    sim_stt_partial_lag_ms: Annotated[
        int,
        typer.Option(help="From a word's end to its partial.", rich_help_panel=_PANEL_SIM),
    ] = _defaults.sim.stt_partial_lag_ms,
    sim_stt_partial_interval_ms: Annotated[
        int, typer.Option(help="Between two partials.", rich_help_panel=_PANEL_SIM)
    ] = _defaults.sim.stt_partial_interval_ms,
    sim_stt_final_ms: Annotated[
        int, typer.Option(help="From the end of speech to the final.", rich_help_panel=_PANEL_SIM)
    ] = _defaults.sim.stt_final_ms,
    sim_llm_first_token_ms: Annotated[
        int, typer.Option(help="First token.", rich_help_panel=_PANEL_SIM)
    ] = _defaults.sim.llm_first_token_ms,
    sim_llm_tokens_per_s: Annotated[
        float, typer.Option(help="Pace of the tokens.", rich_help_panel=_PANEL_SIM)
    ] = _defaults.sim.llm_tokens_per_s,
    sim_tts_connect_ms: Annotated[
        int, typer.Option(help="Delay of the handshake.", rich_help_panel=_PANEL_SIM)
    ] = _defaults.sim.tts_connect_ms,
    sim_tts_first_audio_ms: Annotated[
        int, typer.Option(help="From a text to its first audio.", rich_help_panel=_PANEL_SIM)
    ] = _defaults.sim.tts_first_audio_ms,
    sim_tts_realtime_factor: Annotated[
        float, typer.Option(help="Seconds of audio a second.", rich_help_panel=_PANEL_SIM)
    ] = _defaults.sim.tts_realtime_factor,
    sim_tts_char_ms: Annotated[
        int, typer.Option(help="Audio for one character.", rich_help_panel=_PANEL_SIM)
    ] = _defaults.sim.tts_char_ms,
    faults: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fault script, JSON or YAML, to put in force; see docs/faults-vocabulary.md.",
        ),
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option(case_sensitive=False, help="What to log, on standard error.")
    ] = LogLevel.INFO,
) -> None:
    """Answer the wire forms of AI gateways on this machine, by real engines or scripted ones.

    Speech to text, chat and text to speech under http://HOST:PORT/v1; GET /health tells whether the
    engines are loaded, GET /admin/stats (from this machine only) counts connections.
    """
    logging.basicConfig(level=log_level.value, format="%(levelname)s %(name)s: %(message)s")
    try:
        upstream = None
        if llm_url is not None:
            llm_key = os.environ.get(llm_key_env) if llm_key_env else None
            if llm_key_env and not llm_key:
                raise typer.BadParameter(f"the variable {llm_key_env} is not set")
            upstream = UpstreamConfig(url=llm_url, key=llm_key, model=llm_model)
        config = GatewayConfig(
            host=host,
            port=port,
            key=key,
            extended=extended,
            aliases=_pairs(alias or [], flag="--alias"),
            stand_ins=LOCAL_MODELS if stand_in else {},
            preload=() if preload == "none" else tuple(filter(None, preload.split(","))),
            whisper_models={
                **_defaults.whisper_models,
                **_pairs(whisper_model or [], flag="--whisper-model", name_from_path=True),
            },
            piper_voices={
                **_defaults.piper_voices,
                **_pairs(piper_voice or [], flag="--piper-voice", name_from_path=True),
            },
            stt=SttConfig(
                endpointing_ms=endpointing_ms,
                partial_interval_ms=partial_interval_ms,
                cpu_threads=stt_threads,
            ),
            tts=TtsConfig(max_lead_ms=tts_max_lead_ms, cpu_threads=tts_threads),
            brain=BrainConfig(first_token_ms=brain_first_token_ms, words_per_s=brain_words_per_s),
            sim=SimConfig(
                script=sim_script,
                word_ms=sim_word_ms,
                stt_partial_lag_ms=sim_stt_partial_lag_ms,
                stt_partial_interval_ms=sim_stt_partial_interval_ms,
                stt_final_ms=sim_stt_final_ms,
                llm_first_token_ms=sim_llm_first_token_ms,
                llm_tokens_per_s=sim_llm_tokens_per_s,
                tts_connect_ms=sim_tts_connect_ms,
                tts_first_audio_ms=sim_tts_first_audio_ms,
                tts_realtime_factor=sim_tts_realtime_factor,
                tts_char_ms=sim_tts_char_ms,
            ),
            upstream=upstream,
            faults=faults,
        )
        asyncio.run(_serve(config))
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED) from None


if __name__ == "__main__":
    app(prog_name="python -m gateway")
