"""Command line: `python -m bench`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import baseline, document, environment, report
from bench.contestants import Contestant, contestants
from bench.profiles import PROFILES, Profile
from bench.results import Run
from bench.run import FULL, QUICK, Bench, Plan
from caller.errors import CallerError
from demo.media_server import ROOT, MediaServerError
from demo.network import NoNetworkInterface, ensure_interface
from demo.processes import ProcessError

FOLDER = ROOT / ".parley" / "bench"
_INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


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
        str, typer.Option(metavar="NAME", help=f"Stages: {' or '.join(PROFILES)}.")
    ] = "budget",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every turn there.")
    ] = None,
    document_it: Annotated[
        bool,
        typer.Option("--document", help="Write docs/benchmarks.md, its plot and the baseline."),
    ] = False,
) -> None:
    """Measure Parley beside its peers: same run, same room, same simulated stages, same caller.

    Exit code 1: a contestant could not be run, was not heard, or the ratio to the best peer is 15 %
    worse than the committed one.
    """
    if context.invoked_subcommand:
        return
    if profile not in PROFILES:
        raise typer.BadParameter(f"there is no profile {profile!r}; choose {' or '.join(PROFILES)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    chosen = _chosen(only)
    plan = QUICK if quick else FULL
    try:
        ensure_interface()
        run = asyncio.run(_interruptible(_measured(chosen, plan=plan, profile=PROFILES[profile])))
    except (NoNetworkInterface, ProcessError, MediaServerError, CallerError) as e:
        sys.exit(f"The benchmark could not go on. {e}")
    if run is None:
        print("\nStopped, with everything that was started.", flush=True)
        raise typer.Exit(_INTERRUPTED)
    print("\n" + report.terminal(run), flush=True)
    if json_file:
        json_file.write_text(json.dumps(run.as_dict(), indent=1) + "\n")
    problems = _problems(run)
    if document_it:
        document.add_run(run)
        baseline.save(report.ratios(run))
    for problem in problems:
        print(problem, flush=True)
    raise typer.Exit(1 if problems else 0)


def _chosen(only: str) -> list[Contestant]:
    everyone = contestants(FOLDER)
    if not only:
        return everyone
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = [contestant.name for contestant in everyone]
    if unknown := set(names) - set(known):
        raise typer.BadParameter(f"no contestant {min(unknown)!r}; there are {', '.join(known)}")
    return [contestant for contestant in everyone if contestant.name in names]


async def _measured(chosen: Sequence[Contestant], *, plan: Plan, profile: Profile) -> Run:
    print(report.FIRST_LINE, f"Logs: {FOLDER}", flush=True)
    missing = {}
    if any(contestant.peers_env for contestant in chosen):
        try:
            await asyncio.to_thread(environment.ensure, _say)
        except environment.PeersUnavailable as e:
            missing = {contestant.name: str(e) for contestant in chosen if contestant.peers_env}
            _say(str(e))
    present = [contestant for contestant in chosen if contestant.name not in missing]
    if not present:
        raise ProcessError("None of the contestants can be run.")
    bench = Bench(present, plan=plan, profile=profile, folder=FOLDER, say=_say)
    run = await bench.run()
    run.not_run = missing
    return run


async def _interruptible(measuring: Coroutine[Any, Any, Run]) -> Run | None:
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
