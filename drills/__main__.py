"""`python -m drills`: hold the drills, print what the caller heard, write `docs/faults.md`."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from caller.ears import Ears
from caller.errors import CallerError
from caller.voice import Voice
from demo.media_server import MediaServerError
from demo.processes import ProcessError
from demo.stack import HOST, Ports, Stack, StackConfig
from drills.call import Drilled, Range
from drills.cases import DRILLS, GREETING, LINE, SECOND_LINE, UNDISTURBED, Drill
from drills.report import table

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "faults.md"

app = typer.Typer(add_completion=False)


@app.command()
def main(
    only: Annotated[str, typer.Option(help="Cases, comma-separated, as in F01,F19.")] = "",
    write: Annotated[bool, typer.Option(help="Write docs/faults.md (all cases only).")] = False,
) -> None:
    """Put every fault into a real call and say what the caller heard. Exit 1: a bar was missed."""
    names = {name.strip().upper() for name in only.split(",") if name.strip()}
    if unknown := names - {drill.id for drill in DRILLS}:
        sys.exit(f"There is no case {', '.join(sorted(unknown))}; see drills/cases.py.")
    if names and write:
        sys.exit("--write needs all cases: leave out --only.")
    drills = [drill for drill in DRILLS if not names or drill.id in names]
    try:
        results, missed = asyncio.run(hold_all(drills))
    except (ProcessError, MediaServerError, CallerError) as e:
        sys.exit(str(e))
    except KeyboardInterrupt:
        sys.exit(130)
    if write and not missed:
        _PAGE.write_text(table(results))
        typer.echo(f"wrote {_PAGE.relative_to(_PAGE.parent.parent)}")
    typer.echo(f"{len(results) - len(missed)} of {len(results)} calls within their bars")
    sys.exit(1 if missed else 0)


async def hold_all(drills: list[Drill]) -> tuple[list[Drilled], list[Drilled]]:
    """Hold the undisturbed call and these drills; all results, and those above their bars."""
    port = _free_port()
    env = {"AGENT_GREETING": GREETING, "AGENT_METRICS_PORT": str(port)}
    voice, ears = Voice(), Ears()
    await asyncio.gather(ears.load(), voice.prepare([LINE, SECOND_LINE]))
    results: list[Drilled] = []
    missed: list[Drilled] = []
    stack = Stack(StackConfig(ports=Ports.free(), worker_env=env), say=typer.echo)
    env["AGENT_METRICS"] = str(stack.folder / "metrics")
    async with stack:
        place = Range(stack=stack, metrics_port=port, voice=voice, ears=ears)
        for drill in [UNDISTURBED, *drills]:
            undisturbed = results[0] if results else None
            result, problems = await place.hold_to_bars(drill, undisturbed, say=typer.echo)
            results.append(result)
            if problems:
                missed.append(result)
    ears.close()
    return results, missed


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    app()
