"""`python agent.py phone`: set trunks up, list them, call out, and rehearse without a carrier.

The framework takes seconds to import, so each command imports what it needs.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Telephone calls: trunks, calling out, and a rehearsal without a carrier.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("setup")
def setup(
    file: Annotated[Path, typer.Argument(help="What to set up (YAML): see docs/phone.md.")],
) -> None:
    """Make trunks and dispatch rule as FILE says; what is right already is left alone."""
    from . import commands

    commands.setup(file)


@app.command("list")
def list_all() -> None:
    """Show trunks, dispatch rules and the calls of this moment. Passwords are not shown."""
    from . import commands

    commands.list_all()


@app.command("dial")
def dial(
    number: Annotated[str, typer.Argument(help="Whom to call; must match AGENT_PHONE_ALLOW.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Call NUMBER with the agent.

    Exit code: 0 answered, 3 busy, 4 rejected, 5 no answer, 6 voicemail, 1 failed.
    """
    from . import commands

    dialled = commands.dial(number)
    if as_json:
        typer.echo(json.dumps(asdict(dialled)))
    else:
        by = f" by {dialled.answered_by}" if dialled.answered_by else ""
        status = f" ({dialled.status})" if dialled.status not in (0, 200) else ""
        typer.echo(f"{dialled.outcome.value}{by}{status}, room {dialled.room}")
    raise typer.Exit(commands.EXIT_CODES[dialled.outcome])


@app.command("rehearse")
def rehearse(
    script: Annotated[
        Path | None, typer.Option(help="A script (TOML); the demo's conversation if left out.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Where the stereo WAV goes; into recordings/ if left out.")
    ] = None,
    codec: Annotated[str, typer.Option(help="PCMU (mu-law) or PCMA (A-law).")] = "PCMU",
    loss: Annotated[float, typer.Option(min=0, max=1, help="Share of packets lost.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(min=0, max=500, help="Delay that varies.")] = 0.0,
) -> None:
    """Hold a whole call without a carrier: test phone, bridge, agent. Prints its scores as JSON."""
    if not find_spec("demo"):
        raise typer.BadParameter("a rehearsal needs the whole project: run `make setup`")
    from demo.phone import run_rehearsal

    raise typer.Exit(
        run_rehearsal(script=script, record=record, codec=codec, loss=loss, jitter_ms=jitter_ms)
    )
