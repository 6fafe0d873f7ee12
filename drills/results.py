"""What became of a drill, and whether that is within its bars."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from drills.cases import Drill, Line

_ALIKE = 0.8
"""Share of their letters, in order, that make words the same words."""


@dataclass(kw_only=True)
class Drilled:
    """What became of a drill.

    Attributes:
        drill: Which one.
        line: What the caller asked for, the barge-in if there was one.
        heard: What the caller heard after its line, by its own recogniser.
        understood: The caller's words as the room transcribed them.
        dead_air_ms: The longest silence between the caller's last word and the agent's last sound.
        done_ms: From the caller's last word to the agent's last sound.
        hung_up: Whether the agent ended the call.
        bookings: Flights that were booked.
        requests: Sockets and requests that the gateway saw.
        fired: How often the gateway did what the script says.
        faults: What the worker's metrics counted, by stage and kind.
        actions: What the caller was told in place of an answer, by the same metrics.
        error: Why the question could not be asked, if it could not.
    """

    drill: Drill
    line: Line
    heard: str = field(default="", repr=False)
    understood: str = field(default="", repr=False)
    dead_air_ms: float = 0.0
    done_ms: float = 0.0
    hung_up: bool = False
    bookings: int = 0
    requests: int = 0
    fired: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    actions: dict[str, int] = field(default_factory=dict)
    error: str = ""

    def problems(self) -> list[str]:
        """What is worse than its bar."""
        found = self.losses()
        if not self.error and self.dead_air_ms > self.drill.dead_air_ms:
            bar_ms = self.drill.dead_air_ms
            found.append(f"dead air of {self.dead_air_ms:.0f} ms, more than {bar_ms}")
        return found

    def losses(self) -> list[str]:
        """What was lost or doubled, however late it came."""
        if self.error:
            return [self.error]
        drill, words = self.drill, self.heard
        answered = sounds_like(self.line.answer, words)
        checks = {
            "the fault never happened": bool(drill.script) and not self.fired,
            "the answer was not heard": drill.outcome == "answer" and not answered,
            "the agent did not hang up": drill.outcome == "hang up" and not self.hung_up,
            "the caller was told nothing": drill.outcome == "apology" and not self.actions,
            f"{self.bookings} bookings instead of {drill.bookings}": (
                self.bookings != drill.bookings
            ),
            f"{self.requests} requests, more than {drill.requests}": (
                self.requests > drill.requests
            ),
            f"{self.lost} of the caller's words were lost": self.lost > 0,
        }
        return [problem for problem, found in checks.items() if found]

    @property
    def lost(self) -> int:
        """Words of the caller that the agent should have got and did not."""
        if self.drill.outcome != "answer":
            return 0
        return words_lost(self.line.text, self.understood)


def sounds_like(wanted: str, heard: str) -> bool:
    """Whether words were heard, as well as a small recogniser spells names ("boss on")."""
    sought, letters = "".join(_words(wanted)), "".join(_words(heard))
    windows = (letters[at : at + len(sought)] for at in range(len(letters)))
    return any(SequenceMatcher(None, sought, window).ratio() >= _ALIKE for window in windows)


def words_lost(reference: str, heard: str) -> int:
    """Words of `reference` that `heard` has nothing in place of."""
    said, got = _words(reference), _words(heard)
    changes = SequenceMatcher(None, said, got, autojunk=False).get_opcodes()
    return sum(max(0, (a2 - a1) - (b2 - b1)) for tag, a1, a2, b1, b2 in changes if tag != "equal")


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())
