"""The command line: LiveKit's own worker commands and ours, behind one `python agent.py`."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import warnings
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer
from dotenv import load_dotenv

from .config import ConfigError, Settings, load_settings, require_keys
from .doctor.areas import Area
from .phone.cli import app as phone

app = typer.Typer(
    name="agent.py",
    help="Parley: a voice agent for LiveKit rooms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class PortChoice(StrEnum):
    """Where the demo listens."""

    USUAL = "usual"
    FREE = "free"


_PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def main() -> None:
    """Run the command line; a user's mistake is one sentence, never a stack trace."""
    load_dotenv()  # for options that are read from the environment; settings read `.env` themselves
    try:
        app()
    except ConfigError as e:
        sys.exit(f"{e}")


def _run_worker() -> None:
    """Hand the command line over to LiveKit's CLI, which parses the same arguments itself."""
    settings = load_settings()
    if not {"--help", "-h"} & set(sys.argv):
        require_keys(settings)
        if sys.argv[1] == "start":
            _refuse_dev_credentials(settings)
            _require_free("health page", settings.health_port, "AGENT_HEALTH_PORT")
        _require_free("metrics page", settings.metrics_port, "AGENT_METRICS_PORT")
    # Imported here: the framework takes seconds to import, and not every command needs it.
    from livekit.agents import cli

    from .worker import build_server

    with warnings.catch_warnings():
        # The hint at LiveKit's separate Go tool: these commands need nothing but this project.
        warnings.simplefilter("ignore", DeprecationWarning)
        cli.run_app(build_server(settings))


def _require_free(page: str, port: int, variable: str) -> None:
    """Say which port is taken before the framework fails on it in the middle of its start."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))  # every interface, as the framework does
        except OSError as e:
            raise ConfigError(
                f"Port {port} for the {page} cannot be used: {e.strerror}. Is another worker "
                f"running here? Set {variable} to a free port, or to 0."
            ) from None


def _refuse_dev_credentials(settings: Settings) -> None:
    if settings.uses_dev_credentials():
        raise ConfigError(
            "`start` is for production and does not use the development key. Set LIVEKIT_URL, "
            "LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or use `python agent.py dev`."
        )


@app.command("dev", context_settings=_PASS_THROUGH, add_help_option=False)
def dev() -> None:
    """Run the worker for development: verbose log, default server ws://127.0.0.1:7880."""
    _run_worker()


@app.command("start", context_settings=_PASS_THROUGH, add_help_option=False)
def start() -> None:
    """Run the worker in production: JSON log, load limit, graceful drain."""
    _run_worker()


@app.command("console", context_settings=_PASS_THROUGH, add_help_option=False)
def console() -> None:
    """Talk in this terminal, without a server: microphone, or `--text` to type."""
    if "--text" in sys.argv:
        from . import text_console

        settings = load_settings()
        require_keys(settings)
        text_console.run(settings)
        return
    if not {"--help", "-h"} & set(sys.argv):
        require_keys(load_settings())
        _require_sound()
    _run_worker()


def _require_sound() -> None:
    try:
        import_module("sounddevice")
    except OSError:
        raise ConfigError(
            "The console needs PortAudio for microphone and loudspeaker (Debian and Ubuntu: "
            "apt install libportaudio2; macOS: brew install portaudio). "
            "`python agent.py console --text` needs neither."
        ) from None


@app.command("connect", context_settings=_PASS_THROUGH, add_help_option=False)
def connect() -> None:
    """Join one room at once: `connect --room NAME`."""
    _run_worker()


@app.command("web")
def web(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8788,
) -> None:
    """Serve the page to talk from, and its tokens. Settings: AGENT_WEB_… in .env.example."""
    from .web.server import serve

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(serve(load_settings(), host=host, port=port))


@app.command("doctor")
def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, without progress.")
    ] = False,
    only: Annotated[
        list[Area] | None, typer.Option(help="Look at this alone; may be given several times.")
    ] = None,
) -> None:
    """Check keys, clock, ports, models, the media server and every route; a fix for each fault.

    Makes a few short requests to each route and joins a room of its own for a moment.

    Exits with 1 if the agent could not take a call.
    """
    settings = load_settings()
    # Imported here: the framework takes seconds to import, and not every command needs it.
    from .doctor.run import run

    raise typer.Exit(run(settings, areas=only or list(Area), as_json=as_json))


app.add_typer(phone, name="phone")

if find_spec("caller"):  # a production worker is installed without it
    from caller.cli import call

    app.command("call")(call)


@app.command("demo")
def demo(
    once: Annotated[
        bool, typer.Option("--once", envvar="ONCE", help="Exit after the conversation.")
    ] = False,
    ports: Annotated[
        PortChoice,
        typer.Option(envvar="PORTS", help="The usual ports (7880 to 7882, 8787), or any free."),
    ] = PortChoice.USUAL,
) -> None:
    """Start everything on this machine and hold a real spoken conversation."""
    # Imported here: a production worker is installed without the demo's engines.
    from demo.run import run_demo

    raise typer.Exit(run_demo(once=once, free_ports=ports is PortChoice.FREE))
