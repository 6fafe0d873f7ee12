"""Command line: `python -m bench`, and its parts `cutoffs` and `waterfall`."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from agent.config import load_settings
from bench import (
    baseline,
    delays,
    document,
    environment,
    hedging,
    hedging_report,
    phone,
    report,
)
from bench.contestants import Contestant, contestants
from bench.cutoffs import cache
from bench.cutoffs import measure as cutoffs
from bench.cutoffs.corpus import SEED, build, describe
from bench.profiles import PROFILES, Profile
from bench.results import Run
from bench.run import ALONE, FULL, QUICK, Bench, Plan
from caller.errors import CallerError
from caller.voice import Voice
from demo import debian, sip_bridge
from demo.binaries import ROOT
from demo.media_server import MediaServerError
from demo.network import NoNetworkInterface, ensure_interface
from demo.processes import ProcessError

FOLDER = ROOT / ".parley" / "bench"
_INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
_QUICK_NAMES = ("parley", "parley-no-openers", "livekit-tuned", "pipecat-tuned", "seed-loop")
"""Who takes part in a quick run: nobody is faster than the tuned ones."""

_T = TypeVar("_T")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class _Leg:
    """One run: everyone in it meets the same stages."""

    profile: Profile
    contestants: Sequence[Contestant]
    plan: Plan


@app.callback(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
def main(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option("--quick", envvar="QUICK", help="One short call each, under 5 minutes.")
    ] = False,
    only: Annotated[
        str, typer.Option(metavar="NAMES", help="Comma-separated contestants; all if not given.")
    ] = "",
    profile: Annotated[
        str, typer.Option(metavar="NAME", help=f"Only these stages: {' or '.join(PROFILES)}.")
    ] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every turn there.")
    ] = None,
    document_it: Annotated[
        bool,
        typer.Option("--document", help="Write docs/benchmarks.md, its plots and the baseline."),
    ] = False,
) -> None:
    """Measure Parley beside its peers: same run, same room, same simulated stages, same caller.

    A full run takes about 20 minutes and needs a machine with nothing else to do.

    Exit code 1: a contestant could not be run, was not heard, or the ratio to the best peer is 15 %
    worse than the committed one.
    """
    if context.invoked_subcommand:
        return
    runs = _in_rooms(_measured(_legs(profile, only, quick=quick)))
    for run in runs:
        print("\n" + report.terminal(run), flush=True)
    if json_file:
        json_file.write_text(json.dumps([run.as_dict() for run in runs], indent=1) + "\n")
    problems = [problem for run in runs for problem in _problems(run)]
    if document_it:
        for run in runs:
            document.add_run(run)
            if not problems:
                baseline.save(report.ratios(run))
    for problem in problems:
        print(problem, flush=True)
    if not (quick or only or profile):
        cut_offs(document_it=document_it)
    raise typer.Exit(1 if problems else 0)


@app.command("cutoffs")
def cut_offs(
    document_it: Annotated[
        bool, typer.Option("--document", help="Write its section of docs/benchmarks.md.")
    ] = False,
) -> None:
    """How often a pause is taken for the end of a turn, against how long the caller waits: offline.

    What was measured before is kept until settings or code change.

    Exit code 1: at the shipped settings more often than with the framework's defaults.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    file, key = FOLDER / "cutoffs.json", cache.key(load_settings().turn)
    if (kept := cache.load(file, key)) is None:
        kept = _measured_cutoffs()
        cache.save(file, key, *kept)
    points, described = kept
    print("\n" + cutoffs.markdown(points), flush=True)
    if document_it:
        document.add_cutoffs(points, described=described)
    if problem := cutoffs.worse_than_the_framework(points):
        sys.exit(problem)


def _measured_cutoffs() -> tuple[list[cutoffs.Point], str]:
    _say("false cutoffs: rendering the labelled set (half a minute)")
    try:
        cases = asyncio.run(build(SEED, Voice()))
    except CallerError as e:
        sys.exit(f"The labelled set could not be made. {e}")
    return cutoffs.measure(cases, load_settings().turn, _say), describe(cases)


@app.command()
def waterfall(
    document_it: Annotated[
        bool, typer.Option("--document", help="Write its section of docs/benchmarks.md.")
    ] = False,
) -> None:
    """Inject a delay at each stage of the gateway and see where the worker's own record has it.

    Exit code 1: not in that stage's part within 10 ms.
    """
    shifts = _in_rooms(delays.measure(FOLDER, _say))
    print("\n" + delays.markdown(shifts), flush=True)
    if document_it:
        document.add_waterfall(shifts)
    if problems := delays.problems(shifts):
        sys.exit("\n".join(problems))


@app.command("phone")
def on_the_phone(
    document_it: Annotated[
        bool, typer.Option("--document", help="Write its section of docs/benchmarks.md.")
    ] = False,
) -> None:
    """Reply time on the telephone beside that in a room: same agent, stages and lines."""
    try:
        sip_bridge.ensure(_say)
    except debian.PackagesMissing as e:
        sys.exit(f"The benchmark could not go on. {e}")
    heard = _in_rooms(phone.measure(FOLDER, _say))
    print("\n" + phone.markdown(heard), flush=True)
    if document_it:
        document.add_phone(heard)


@app.command("hedging")
def hedged_requests(
    document_it: Annotated[bool, typer.Option("--document", help="Write docs/hedging.md.")] = False,
    calls: Annotated[
        int, typer.Option(min=1, max=1000, help="Calls at once, each of 12 turns.")
    ] = hedging.CALLS,
) -> None:
    """What a second route and hedging do under three fault mixes, and what they cost: no rooms.

    Takes about 4 minutes with simulated stages on real sockets.

    Exit code 1: hedging does harm, or costs more than its budget.
    """
    logging.disable(logging.ERROR)  # faults are the point, and each of them is logged
    cells = asyncio.run(_interruptible(hedging.measure(calls=calls, say=_say)))
    if cells is None:
        raise typer.Exit(_INTERRUPTED)
    print("\n" + hedging_report.markdown(cells), flush=True)
    if document_it:
        hedging_report.write(cells)
    if found := hedging_report.problems(cells):
        sys.exit("\n".join(found))


def _in_rooms(measuring: Coroutine[Any, Any, _T]) -> _T:
    """Measure; Ctrl-C and what cannot be run end the program, with everything that was started."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        ensure_interface()
        measured = asyncio.run(_interruptible(measuring))
    except (NoNetworkInterface, ProcessError, MediaServerError, CallerError) as e:
        sys.exit(f"The benchmark could not go on. {e}")
    if measured is None:
        print("\nStopped, with everything that was started.", flush=True)
        raise typer.Exit(_INTERRUPTED)
    return measured


def _legs(profile: str, only: str, *, quick: bool) -> list[_Leg]:
    """What is run: everyone with the budget's stages, then ours alone with a phone line's.

    Raises:
        typer.BadParameter: There is no such profile or contestant.
    """
    if profile and profile not in PROFILES:
        raise typer.BadParameter(f"there is no profile {profile!r}; choose {' or '.join(PROFILES)}")
    everyone = contestants(FOLDER)
    chosen = _chosen(everyone, only) if only else everyone
    if quick:
        chosen = chosen if only else _chosen(everyone, ",".join(_QUICK_NAMES))
        return [_Leg(PROFILES[profile or "budget"], chosen, QUICK)]
    if profile:
        plan = ALONE if all(contestant.ours for contestant in chosen) else FULL
        return [_Leg(PROFILES[profile], chosen, plan)]
    ours = [contestant for contestant in chosen if contestant.name == "parley"]
    legs = [_Leg(PROFILES["budget"], chosen, FULL)]
    return [*legs, _Leg(PROFILES["telco"], ours, ALONE)] if ours else legs


def _chosen(everyone: Sequence[Contestant], only: str) -> list[Contestant]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = [contestant.name for contestant in everyone]
    if unknown := set(names) - set(known):
        raise typer.BadParameter(f"no contestant {min(unknown)!r}; there are {', '.join(known)}")
    return [contestant for contestant in everyone if contestant.name in names]


async def _measured(legs: Sequence[_Leg]) -> list[Run]:
    print(report.FIRST_LINE, f"Logs: {FOLDER}", flush=True)
    return [await _measured_leg(leg) for leg in legs]


async def _measured_leg(leg: _Leg) -> Run:
    missing = {}
    if any(contestant.peers_env for contestant in leg.contestants):
        try:
            await asyncio.to_thread(environment.ensure, _say)
        except environment.PeersUnavailable as e:
            missing = {c.name: str(e) for c in leg.contestants if c.peers_env}
            _say(str(e))
    present = [contestant for contestant in leg.contestants if contestant.name not in missing]
    if not present:
        raise ProcessError("None of the contestants can be run.")
    _say(f"profile {leg.profile.name}")
    folder = FOLDER / leg.profile.name
    folder.mkdir(exist_ok=True)
    bench = Bench(present, plan=leg.plan, profile=leg.profile, folder=folder, say=_say)
    run = await bench.run()
    run.not_run = missing
    return run


async def _interruptible(measuring: Coroutine[Any, Any, _T]) -> _T | None:
    task = asyncio.create_task(measuring)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None


def _problems(run: Run) -> list[str]:
    problems = [f"{name} was not run." for name in run.not_run]
    problems += [
        f"{result.name} was not heard in half of its turns or more."
        for result in run.results
        if not report.valid(result)
    ]
    return problems + baseline.regressions(report.ratios(run), baseline.load())


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    app()
