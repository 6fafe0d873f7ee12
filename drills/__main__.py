"""`python -m drills`: hold the drills, print what the caller heard, write the table."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from caller.ears import Ears
from caller.errors import CallerError
from caller.voice import Voice
from demo.media_server import MediaServerError
from demo.processes import ProcessError
from demo.stack import Ports, Stack, StackConfig
from drills.call import SAID, Range
from drills.cases import DRILLS, GREETING, Drill
from drills.counts import Observed
from drills.profiles import Profile
from drills.report import table
from drills.results import Drilled
from drills.rooms import soak_rooms
from drills.soak import RSS_KIB_A_CALL, Soak

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_T = TypeVar("_T")

app = typer.Typer(add_completion=False, help="Put every fault into real calls.")


@app.callback(invoke_without_command=True)
def drills(
    context: typer.Context,
    only: Annotated[str, typer.Option(help="Cases, comma-separated, as in F01,F19.")] = "",
    write: Annotated[bool, typer.Option(help="Write the table (all cases only).")] = False,
    profile: Annotated[Profile, typer.Option(help="Whose wire forms.")] = Profile.AIGATEWAY,
) -> None:
    """Put every fault into a real call and say what the caller heard. Exit 1: a bar was missed."""
    if context.invoked_subcommand:
        return
    names = {name.strip().upper() for name in only.split(",") if name.strip()}
    if unknown := names - {drill.id for drill in DRILLS}:
        sys.exit(f"There is no case {', '.join(sorted(unknown))}; see drills/cases.py.")
    if names and write:
        sys.exit("--write needs all cases: leave out --only.")
    wanted = profile.drills(drill for drill in DRILLS if not names or drill.id in names)
    results, missed = _run(_hold_all(wanted, profile))
    if write and not missed:
        page = _DOCS / profile.page
        page.write_text(table(results, profile))
        typer.echo(f"wrote docs/{page.name}")
    typer.echo(f"{len(results) - missed} of {len(results)} questions within their bars")
    sys.exit(1 if missed else 0)


@app.command()
def soak(
    calls: Annotated[int, typer.Option(min=1, help="Calls at plugin level.")] = 200,
    rooms: Annotated[int, typer.Option(min=0, help="Calls in real rooms instead.")] = 0,
    seed: Annotated[int, typer.Option(help="Of all chance; 0: any.")] = 0,
) -> None:
    """Hold many calls with faults by chance. Exit 1: something was lost, doubled or left."""
    seed = seed or random.SystemRandom().randrange(1, 2**31)
    typer.echo(f"seed {seed}")
    problems = _run(_soak_rooms(rooms, seed) if rooms else _soak(calls, seed))
    typer.echo("\n".join(problems) or "nothing lost, doubled or left behind")
    sys.exit(1 if problems else 0)


async def _soak(calls: int, seed: int) -> list[str]:
    logging.disable(logging.CRITICAL)  # thousands of faults, each of which is counted
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(calls=calls, seed=seed, folder=Path(folder), say=typer.echo)
        tally = await soak.run()
    for fault, count in sorted(tally.faults.items()):
        typer.echo(f"{count:6} {fault}")
    typer.echo(f"{tally}; memory {tally.rss_growth_kib:+.1f} KiB a call")
    problems = tally.problems()
    if tally.rss_growth_kib > RSS_KIB_A_CALL:
        problems.append(f"memory grows by more than {RSS_KIB_A_CALL:.0f} KiB a call")
    return problems


async def _soak_rooms(rooms: int, seed: int) -> list[str]:
    async with _range(Profile.AIGATEWAY) as place:
        return await soak_rooms(place, rooms=rooms, seed=seed)


async def _hold_all(wanted: list[Drill], profile: Profile) -> tuple[list[Drilled], int]:
    async with _range(profile) as place:
        results = await place.hold_all(wanted)
        return results, sum(bool(result.problems()) for result in results)


@asynccontextmanager
async def _range(profile: Profile) -> AsyncIterator[Range]:
    """A stack of its own for the drills, and a caller's voice and ears."""
    port = Ports.free().gateway
    env = {"AGENT_GREETING": GREETING, "AGENT_METRICS_PORT": str(port)} | profile.routes
    voice, ears = Voice(), Ears()
    await asyncio.gather(ears.load(), voice.prepare(SAID))
    stack = Stack(StackConfig(ports=Ports.free(), worker_env=env), say=typer.echo)
    env["AGENT_METRICS"] = str(stack.folder / "metrics")
    async with stack:
        at = Observed(stack=stack, metrics_port=port)
        yield Range(at=at, voice=voice, ears=ears, say=typer.echo)
    ears.close()


def _run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run it; what stands in the way is one sentence."""
    try:
        return asyncio.run(main)
    except (ProcessError, MediaServerError, CallerError) as e:
        sys.exit(str(e))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    app()
