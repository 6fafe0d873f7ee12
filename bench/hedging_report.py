"""The table of `python -m bench hedging`, in the terminal and in docs/hedging.md."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from agent.config import load_settings
from bench.document import circumstances
from bench.hedging import SEED, TURNS, Cell
from demo.binaries import ROOT

_TOLERANCE = 1.1
"""A hundredth of the turns is two: chance."""
FILE = ROOT / "docs" / "hedging.md"
_HEAD = """\
# A second route, and hedging: what they gain and what they cost

Made by `python -m bench hedging --document`, not edited by hand. {stages} Two local gateways with
simulated stages on real sockets (first words after 320 ms, first sound 180 ms after its sentence),
our plugins, the chain of routes and the guard of a reply: no room, and nothing answered ahead of
the turn's end. Each set-up meets the same faults (seed {seed}) in {turns} turns, in calls of
{per_call}.

- **one route**: the plugin's own retries, with the caller's 8 s.
- **two routes**: the next route is asked when the first one fails, or says nothing for {llm_s} s.
- **two routes, hedged**: it is asked as well when the first says nothing for {hedge_s} s, by at
  most {share} of the requests ({floor} of a call are free); after {switch_s} s the first one is
  given up.

How to read it: **first words** and **first sound** are those of the answer; **dead air** is the
longest silence of a turn up to the end of its answer, "One moment, please." being no silence; all
are ms from the end of the caller's turn, p50 / p95 / p99. **fillers** and **no answer** count
turns. **requests** are those that reached a gateway, a turn; **tokens** is what hedging added to
the prompts, by the agent's own ledger. The second route is not perfect either: 5 % of its first
words are 1.5 s late.
"""
_COLUMNS = "| | first words | first sound | dead air | fillers | no answer | requests | tokens |"


def markdown(cells: Sequence[Cell]) -> str:
    """A table a mix."""
    parts = []
    for mix, row in groupby(cells, key=lambda cell: cell.mix):
        lines = [_line(cell) for cell in row]
        parts += [f"## {mix.name.capitalize()}", "", f"{mix.described}.", "", _COLUMNS]
        parts += ["|" + " --- |" * 8, *lines, ""]
    return "\n".join(parts)


def write(cells: Sequence[Cell], path: Path = FILE) -> None:
    """Write the page."""
    settings = load_settings()
    guard = settings.guard
    turns = len(cells[0].turns)
    head = _HEAD.format(
        stages="Simulated stages; compare the set-ups, not the figures with those of providers.",
        seed=SEED,
        turns=turns,
        per_call=TURNS,
        llm_s=settings.chain.llm_s,
        hedge_s=guard.hedge_after_s,
        share=f"{guard.hedge_share:.0%}",
        floor=guard.hedge_floor,
        switch_s=guard.switch_after_s,
    )
    path.write_text(f"{head}\n{markdown(cells)}\n{circumstances()}")


def problems(cells: Sequence[Cell]) -> list[str]:
    """What a run shows that it must not: hedging that does harm, or costs more than allowed."""
    found = []
    guard = load_settings().guard
    for _, row in groupby(cells, key=lambda cell: cell.mix):
        one, *_, hedged = row  # in the order of SET_UPS
        if hedged.quantile("words_s", 99) > _TOLERANCE * one.quantile("words_s", 99):
            found.append(f"{one.mix.name}: hedged words come later than those of one route.")
        calls = len(hedged.turns) / TURNS
        most = max(guard.hedge_floor * calls, guard.hedge_share * hedged.requests)
        if hedged.hedged_requests > most:
            found.append(f"{one.mix.name}: {hedged.hedged_requests} hedges, {most:.0f} allowed.")
    return found


def _line(cell: Cell) -> str:
    spreads = [
        " / ".join(f"{cell.quantile(name, percent):.0f}" for percent in (50, 95, 99))
        for name in ("words_s", "voice_s", "dead_s")
    ]
    requests = f"{cell.requests / len(cell.turns):.2f}"
    tokens = f"+{cell.hedged_tokens / cell.tokens:.1%}" if cell.hedged_tokens else "–"
    fields = [cell.set_up.name, *spreads, cell.fillers, cell.unanswered, requests, tokens]
    return "| " + " | ".join(map(str, fields)) + " |"
