"""A run in words: the table for the terminal and for `docs/benchmarks.md`."""

from __future__ import annotations

from bench.results import Result, Run, percentile, ratio

FIRST_LINE = "Simulated stages only: the gateway's engines keep set times and say scripted words."
BUSY = "**The machine was busy with other work during this run: these numbers are not valid.**"
NOTHING = "–"

_COLUMNS = (
    "contestant",
    "p50",
    "p90",
    "p95",
    "min..max",
    "turns",
    "barge-in p50",
    "p95",
    "stopped by noise",
    "cut in at pause",
    "LLM requests",
    "CPU s/min",
    "PSS MB",
    "no reply",
)


def rows(run: Run) -> list[list[str]]:
    """The table's cells, one row a contestant."""
    return [_row(result) for result in run.results]


def _row(result: Result) -> list[str]:
    heard, stops = result.heard, result.stops
    return [
        result.name + (" †" if result.added_ms else ""),
        *(_ms(percentile(heard, p)) for p in (50, 90, 95)),
        f"{min(heard):.0f}..{max(heard):.0f}" if heard else NOTHING,
        str(len(heard)),
        *(_ms(percentile(stops, p)) for p in (50, 95)),
        _of(*result.noises),
        _of(*result.cut_offs),
        _number(result.requests_a_turn, ".2f"),
        _number(result.cpu_s_a_minute, ".1f"),
        _number(result.memory_mb, ".0f"),
        str(sum(turn.failed for turn in result.turns) + len(result.failures)),
    ]


def markdown(run: Run) -> str:
    """The table with what belongs to it, as Markdown."""
    lines = [
        f"Stages: STT final {run.profile.stt_final} ms, LLM first token "
        f"{run.profile.llm_first_token} ms, TTS first audio {run.profile.tts_first_audio} ms "
        f"(profile `{run.profile.name}`). Floor of the transport (echo in the same room): p50 "
        f"{run.floor.p50:.0f} ms, {run.floor.least:.0f} to {run.floor.most:.0f}.",
        "",
        *([BUSY, ""] if run.busy else []),
        "| " + " | ".join(_COLUMNS) + " |",
        "| --- |" + " ---: |" * (len(_COLUMNS) - 1),
        *("| " + " | ".join(row) + " |" for row in rows(run)),
        "",
        *_notes(run),
    ]
    return "\n".join(lines) + "\n"


def terminal(run: Run) -> str:
    """The same for a terminal."""
    table = [list(_COLUMNS), *rows(run)]
    widths = [max(len(row[i]) for row in table) for i in range(len(_COLUMNS))]
    lines = [_aligned(row, widths) for row in table]
    notes = [note.removeprefix("- ") for note in _notes(run)]
    busy = [BUSY.strip("*")] if run.busy else []
    return "\n".join([FIRST_LINE, *busy, "", *lines, "", *notes])


def _aligned(row: list[str], widths: list[int]) -> str:
    name, *figures = (
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([name, *figures])


def ratios(run: Run) -> dict[str, float]:
    """The ratio to the best peer for each of ours, by "profile/contestant"."""
    return {
        f"{run.profile.name}/{result.name}": found
        for result in run.results
        if result.ours and (found := ratio(run.results, result.name)) is not None
    }


def _notes(run: Run) -> list[str]:
    notes = [
        f"- {name}: {value:.2f} of the best peer's median" for name, value in ratios(run).items()
    ]
    least = run.profile.least_answer
    notes.append(
        f"- an answer is heard {run.floor.p50 + least:.0f} ms after the last word at the earliest "
        f"(floor + {least}), unless its audio was kept: the recogniser shows a word, the model "
        "begins, the voice begins"
    )
    if any(result.added_ms for result in run.results):
        notes.append("- † measured without a room; the floor's median has been added")
    notes += [_account(result) for result in run.results if result.account_ms]
    notes += [f"- {name} was not run: {why}" for name, why in run.not_run.items()]
    notes += [f"- {r.name}: {why}" for r in run.results for why in r.failures]
    notes.append(
        f"- other processes took {max(run.foreign_load, default=0.0):.0%} of the machine "
        "in the worst call"
        + (f"; {run.held_again} calls were held again for that" if run.held_again else "")
    )
    return notes


def _account(result: Result) -> str:
    off = [abs(ms) for ms in result.account_ms]
    return (
        f"- {result.name}: the worker's own account of a turn (its waterfall) is off the ear's by "
        f"{percentile(off, 50):.0f} ms in the median, {max(off):.0f} at most"
    )


def _ms(value: float | None) -> str:
    return _number(value, ".0f")


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else format(value, form)


def _of(count: int, total: int) -> str:
    return f"{count} of {total}" if total else NOTHING


def valid(result: Result) -> bool:
    """Whether it was heard in more than half of the turns that it held."""
    timed = [turn for turn in result.turns if turn.kind != "pause"]
    return len(result.heard) * 2 > len(timed)
