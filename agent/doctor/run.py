"""The command: examine, show, and an exit code that scripts can use."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import warnings
from collections.abc import Collection

from jwt.warnings import InsecureKeyLengthWarning
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config import Settings
from .areas import Area
from .examine import examine
from .findings import Report, State

_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red", State.UNKNOWN: "dim"}


def run(settings: Settings, *, areas: Collection[Area], as_json: bool) -> int:
    """Examine and print; 0 if the agent could take a call, 1 if not.

    Args:
        settings: What to look at.
        areas: Nothing else is looked at.
        as_json: Print one JSON object and no progress.
    """

    def progress(what: str) -> None:
        if not as_json:
            print(f"looking at {what} …", file=sys.stderr)  # noqa: T201 - progress of a command

    logging.getLogger("livekit").setLevel(logging.CRITICAL)  # faults are told as findings
    with warnings.catch_warnings():
        # The development key is short; that it is in use is a finding of its own.
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        report = asyncio.run(examine(settings, progress=progress, areas=areas))
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))  # noqa: T201 - the command's result
    else:
        show(report, Console())
    return 0 if report.can_take_a_call else 1


def show(report: Report, console: Console) -> None:
    """Print what was found, a fix a line, the scores, and the verdict."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "what", "check", "found"):
        table.add_column(heading, overflow="fold")
    for finding in report.findings:
        table.add_row(
            Text(finding.state.value, style=_STYLES[finding.state]),
            finding.subject,
            finding.check,
            finding.found,
        )
        if finding.fix:
            table.add_row("", "", Text("fix", style="cyan"), Text(finding.fix, style="cyan"))
    console.print(table)
    for score in report.scores:
        console.print(f"\nconformance of {score.gateway}: {score.passed} of {score.told}")
    verdict = "A call can be taken." if report.can_take_a_call else "No call can be taken yet."
    console.print(f"\n{verdict}")
