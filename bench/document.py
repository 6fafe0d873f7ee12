"""`docs/benchmarks.md`: every section is written by a program, none by hand.

A section stands between two comments with its name. Whoever measures anew replaces its own section
and leaves the others as they are.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from bench import delays, phone, report
from bench.cutoffs.measure import OURS, Point, curves_of, markdown
from bench.delays import Shift
from bench.environment import LOCK
from bench.plot import bars, curves
from bench.results import Run, percentile
from demo.binaries import ROOT
from demo.media_server import VERSION as SERVER_VERSION

FILE = ROOT / "docs" / "benchmarks.md"
_SECTION = r"<!-- ([\w-]+) -->\n(?:.|\n)*?<!-- end of \1 -->"
_HEAD = """\
# Benchmarks

{first_line} What is compared is what an agent adds to the same stages, heard at the caller's ear in
a real LiveKit room on one machine. Numbers of real providers are another matter and are not here.

Made by `make bench`, not edited by hand. How each contestant is set up, with the source of every
setting, is in [`bench/peers`](../bench/peers). Contestants take turns, call by call, over one media
server and one gateway.

How to read it:

- **p50, p90, p95**: ms from the end of the caller's speech to the agent's first sound, both at the
  caller's sound card. The transport's own share (the floor) is in it.
  `parley` may begin with kept audio: an opener of the model's ("Sure,"), or an acknowledgement
  ("Let me see.") where the model has no words yet when the turn is over. `parley-no-openers` has
  neither: what is timed there is the answer itself.
- **barge-in**: ms from the onset of the caller's interruption to silence at the caller's ear.
- **stopped by noise**: coughs and murmurs ("mhm") that silenced a reply for more than 1 s.
- **cut in at pause**: lines with a pause of 0.8 s that the agent did not let the caller finish.
- **LLM requests**: chat requests a turn, as the gateway counted them.
- **CPU s/min, PSS MB**: CPU seconds a minute of call and memory of the whole process tree; shared
  pages count once.
"""


def add_run(run: Run, path: Path = FILE) -> None:
    """Write a run's section and its plot."""
    plot = path.with_name(f"benchmarks{'' if run.profile.name == 'budget' else '-telco'}.svg")
    plot.write_text(_plot(run))
    body = f"{report.markdown(run)}\n![Reply times]({plot.name})\n\n{circumstances()}"
    write_section(path, name=run.profile.name, title=f"Profile `{run.profile.name}`", body=body)


def add_cutoffs(points: Sequence[Point], *, described: str, path: Path = FILE) -> None:
    """Write the section of the false cutoffs and its curve.

    Args:
        points: Policies at their settings.
        described: What the labelled set is.
        path: The page.
    """
    plot = path.with_name("benchmarks-cutoffs.svg")
    plot.write_text(
        curves(
            curves_of(points),
            ours={OURS},
            title="False cutoffs against wait",
            x_label="median wait after turns that were over, ms",
            y_label="pauses inside a turn taken for its end",
        )
    )
    body = (
        f"{described}. Audio goes through Silero and LiveKit's local turn model as in a call, then "
        "through each policy; waits are counted from the true end of the speech and are never "
        "below the simulated final. Parley waits with a reply being written, as in a call, so what "
        "it waits until the reply begins, with an acknowledgement where one fits, costs nothing. "
        "Pauses are drawn like those of the "
        "public eot-bench set.\n\n"
        f"{markdown(points)}\n![False cutoffs]({plot.name})"
    )
    write_section(path, name="cutoffs", title="False cutoffs", body=body)


def add_waterfall(shifts: list[Shift], path: Path = FILE) -> None:
    """Write the section of the injected delays."""
    body = (
        "By how many ms the median of each part of a turn grew, in the worker's own record "
        "(`agent/observe/waterfall.py`), when one stage of the gateway was slowed down.\n\n"
        f"{delays.markdown(shifts)}"
    )
    write_section(path, name="waterfall", title="The waterfall and injected delays", body=body)


def add_phone(paths: list[phone.Heard], path: Path = FILE) -> None:
    """Write the section of the telephone."""
    write_section(path, name="phone", title="On the telephone", body=phone.markdown(paths))


def write_section(path: Path, *, name: str, title: str, body: str) -> None:
    """Replace the section `name`, or add it at the end."""
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{first}\n## {title}\n\n{body.strip()}\n{last}"
    head = _HEAD.format(first_line=report.FIRST_LINE)
    kept = {found[1]: found.group() for found in re.finditer(_SECTION, _text(path))}
    kept[name] = section
    path.write_text("\n\n".join([head.strip(), *kept.values()]) + "\n")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _plot(run: Run) -> str:
    spreads = {
        result.name: (p50, p95, min(result.heard))
        for result in run.results
        if (p50 := percentile(result.heard, 50)) and (p95 := percentile(result.heard, 95))
    }
    return bars(
        spreads,
        ours={result.name for result in run.results if result.ours},
        floor=run.floor.p50,
        title=f"Heard reply time, profile {run.profile.name} (simulated stages)",
    )


def circumstances() -> str:
    """The machine and the versions, in a sentence."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _text(Path("/proc/cpuinfo")).splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    pipecat = re.search(r"^pipecat-ai==(\S+)", LOCK.read_text(), re.MULTILINE)
    memory_gb = psutil.virtual_memory().total / 1e9
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {psutil.cpu_count()} cores of {cpu}, "
        f"{memory_gb:.0f} GB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, livekit-server {SERVER_VERSION}, "
        f"livekit-agents {version('livekit-agents')}, livekit {version('livekit')}, "
        f"pipecat-ai {pipecat.group(1) if pipecat else 'unknown'}.\n"
    )
