"""A call written down: who says what when, and what should come back.

A script is TOML: Python reads it without another package, it has comments and long strings, and
unlike YAML it never takes "no" for a boolean or 7:30 for a number.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from caller.errors import CallerError
from caller.expect import Phrase
from caller.party import REPLY_TIMEOUT_S, SILENCE_MS

TURN_KEYS = {"say", "wav", "listen", "wait_s", "barge_in_after_ms", "expect", "expect_all"}
ACTIONS = ("say", "wav", "listen", "wait_s")
TOP_KEYS = {"turn", "hang_up", "reply_timeout_s", "silence_ms"}
SOON_MS = 50.0
"""The earliest a barge-in may come: an onset is known this long after it happened."""

HangUp = Literal["agent", "caller"]


class ScriptError(CallerError):
    """The script is not understood; the message names the file and the turn."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn of the caller; exactly one of the first four is given.

    Attributes:
        say: A text to speak.
        wav: A recording to speak.
        listen: Say nothing, hear what the agent says by itself (a greeting).
        wait_s: Be silent, and deaf, for so long.
        barge_in_after_ms: Speak this long after the agent's first sound, without waiting for the
            end of its reply to the turn before.
        expect: One of these must be heard in the reply; empty for anything.
        expect_all: Every one of these must be heard in the reply.
    """

    say: str | None = field(default=None, repr=False)
    wav: Path | None = None
    listen: bool = False
    wait_s: float | None = None
    barge_in_after_ms: float | None = None
    expect: tuple[Phrase, ...] = ()
    expect_all: tuple[Phrase, ...] = ()

    @property
    def line(self) -> str | Path | None:
        """What is spoken, if anything."""
        return self.say if self.say is not None else self.wav

    def unmet(self, heard: str) -> str:
        """Why `heard` is not what was expected; empty if it is."""
        for phrase in self.expect_all:
            if not phrase.found_in(heard):
                return f"expected to hear {phrase.text!r}"
        if self.expect and not any(phrase.found_in(heard) for phrase in self.expect):
            return "expected to hear " + " or ".join(repr(phrase.text) for phrase in self.expect)
        return ""


@dataclass(frozen=True, kw_only=True)
class Script:
    """A whole call.

    Attributes:
        turns: In order; at least one.
        hang_up: Who ends the call after the last turn.
        reply_timeout_s: How long the agent may take to begin a reply.
        silence_ms: Silence that ends a reply.
    """

    turns: tuple[Turn, ...]
    hang_up: HangUp = "caller"
    reply_timeout_s: float = REPLY_TIMEOUT_S
    silence_ms: float = SILENCE_MS

    @property
    def lines(self) -> list[str | Path]:
        """Everything that is spoken in it."""
        return [turn.line for turn in self.turns if turn.line is not None]


def load_script(path: Path) -> Script:
    """Read a script; WAV files are looked for beside it.

    Raises:
        ScriptError: In one sentence, what is wrong and where.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ScriptError(f"{path} cannot be read: {e.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ScriptError(f"{path} is not TOML: {e}.") from None
    _known(data, TOP_KEYS, str(path))
    turns = data.get("turn")
    if not isinstance(turns, list) or not turns:
        raise ScriptError(f"{path} has no turns: write each one under a [[turn]] heading.")
    hang_up = data.get("hang_up", "caller")
    if hang_up not in ("agent", "caller"):
        raise ScriptError(f'{path}: hang_up is "agent" or "caller", not {hang_up!r}.')
    return Script(
        turns=tuple(_turn(turn, i, path) for i, turn in enumerate(turns, start=1)),
        hang_up=hang_up,
        reply_timeout_s=_number(data, "reply_timeout_s", str(path)) or REPLY_TIMEOUT_S,
        silence_ms=_number(data, "silence_ms", str(path)) or SILENCE_MS,
    )


def _turn(data: Any, number: int, path: Path) -> Turn:
    where = f"{path}, turn {number}"
    if not isinstance(data, dict):
        raise ScriptError(f"{where}: write it under a [[turn]] heading.")
    _known(data, TURN_KEYS, where)
    given = [key for key in ACTIONS if key in data]
    if len(given) != 1:
        raise ScriptError(
            f"{where}: give exactly one of {', '.join(ACTIONS)}"
            + (f", not {' and '.join(given)}." if given else ".")
        )
    if data.get("listen", True) is not True:
        raise ScriptError(f"{where}: listen is true or left out.")
    turn = Turn(
        say=_text(data, "say", where),
        wav=path.parent / wav if (wav := _text(data, "wav", where)) else None,
        listen="listen" in data,
        wait_s=_number(data, "wait_s", where),
        barge_in_after_ms=_number(data, "barge_in_after_ms", where),
        expect=_phrases(data, "expect", where),
        expect_all=_phrases(data, "expect_all", where),
    )
    _sensible(turn, number, where)
    return turn


def _sensible(turn: Turn, number: int, where: str) -> None:
    if turn.barge_in_after_ms is not None:
        if turn.line is None:
            raise ScriptError(f"{where}: barge_in_after_ms needs something to say.")
        if number == 1:
            raise ScriptError(
                f"{where}: there is nothing to barge in on before the first turn; "
                "put a listen turn before it to interrupt a greeting."
            )
        if turn.barge_in_after_ms < SOON_MS:
            raise ScriptError(f"{where}: barge_in_after_ms is at least {SOON_MS:g}.")
    if turn.wait_s is not None and (turn.expect or turn.expect_all):
        raise ScriptError(f"{where}: nothing is heard while waiting, so nothing can be expected.")
    if turn.wav and not turn.wav.is_file():
        raise ScriptError(f"{where}: there is no sound file {turn.wav}.")


def _known(data: dict[str, Any], keys: set[str], where: str) -> None:
    if unknown := sorted(data.keys() - keys):
        raise ScriptError(f"{where}: {unknown[0]!r} is not known; known are {sorted(keys)}.")


def _text(data: dict[str, Any], key: str, where: str) -> str | None:
    value = data.get(key)
    if key in data and (not isinstance(value, str) or not value.strip()):
        raise ScriptError(f"{where}: {key} is a text in quotes.")
    return value


def _number(data: dict[str, Any], key: str, where: str) -> float | None:
    value = data.get(key)
    if key not in data:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise ScriptError(f"{where}: {key} is a number above 0.")
    return float(value)


def _phrases(data: dict[str, Any], key: str, where: str) -> tuple[Phrase, ...]:
    value = data.get(key, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ScriptError(f"{where}: {key} is a text, or a list of texts, in quotes.")
    try:
        return tuple(Phrase(text) for text in texts)
    except ValueError as e:
        raise ScriptError(f"{where}: {key}: {e}.") from None
