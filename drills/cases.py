"""The drills: which fault, put into the call when, and what the caller may notice of it at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["answer", "apology", "hang up"]

GREETING = "Hello, this is Parley."
LINE = "Book me a flight to Lisbon on Friday."
ANSWER = ("lisbon", "friday")
"""Words of the right answer, as the caller's own recogniser writes them."""
SECOND_LINE = "Thank you. Book me a flight to Boston on Monday."

_NO_PAUSE_MS = 3_000
"""Dead air before and inside a reply that a healed fault may cause: a reconnect, or a missing
first sound that is awaited for 1.5 s and asked for again."""
_FILLED_PAUSE_MS = 5_000
"""Dead air while something can still speak, whatever happens."""


@dataclass(frozen=True, kw_only=True)
class Drill:
    """One fault in one call.

    Attributes:
        id: The case's name, as the tests have it.
        fault: What goes wrong, for people.
        script: The fault script (see `docs/faults-vocabulary.md`), in force from the end of the
            greeting on.
        outcome: What must come of the caller's request.
        dead_air_ms: The longest silence while the caller waits may be no longer.
        bookings: Flights that may have been booked in the end.
        muted_s: Silence of the caller before it speaks.
        barge_in: Whether the caller interrupts the reply with another request.
    """

    id: str
    fault: str
    script: tuple[dict[str, Any], ...] = field(default=())
    outcome: Outcome = "answer"
    dead_air_ms: int = _NO_PAUSE_MS
    bookings: int = 1
    muted_s: float = 0.0
    barge_in: bool = False


def _fault(stage: str, do: str, **fields: Any) -> dict[str, Any]:
    return {"stage": stage, "do": do} | fields


UNDISTURBED = Drill(id="none", fault="none, for comparison")

DRILLS: tuple[Drill, ...] = (
    Drill(
        id="F01",
        fault="speech-to-text socket reset in the middle of the utterance",
        script=(_fault("stt", "reset", at={"word": 3}, limit=1),),
    ),
    Drill(
        id="F02",
        fault="the final transcript never comes",
        script=(_fault("stt", "missing_final", limit=1),),
        dead_air_ms=8_000,  # the silence watchdog (5 s) has to find out
    ),
    Drill(
        id="F03",
        fault="three resets in one utterance",
        script=(_fault("stt", "reset", at={"word": 3}, limit=3),),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F05",
        fault="half-open speech-to-text socket: packets vanish",
        script=(_fault("stt", "half_open", at={"word": 3}, limit=1),),
        dead_air_ms=8_000,  # the silence watchdog (5 s) has to find out
    ),
    Drill(
        id="F06",
        fault="speech-to-text accepts and closes at once, for ever",
        script=(_fault("stt", "close"),),
        outcome="hang up",
        dead_air_ms=12_000,
        bookings=0,
    ),
    Drill(id="F07", fault="caller muted for 12 s, then speaks", muted_s=12.0),
    Drill(
        id="F08",
        fault="200 ms more latency with 100 ms of jitter, bytes one by one",
        script=(_fault("stt", "delay", ms=200, jitter_ms=100), _fault("stt", "slice", bytes=1)),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F09",
        fault="five frames of garbage in a row",
        script=(_fault("stt", "garbage", at={"message": 2}, times=5, limit=1),),
    ),
    Drill(
        id="F10",
        fault="JSON of the wrong types",
        script=(_fault("stt", "wrong_types", at={"message": 2}, times=2, limit=1),),
    ),
    Drill(
        id="F11",
        fault="1e999 and a hundred thousand brackets",
        script=(
            _fault("stt", "non_finite", at={"message": 1}, value="1e999", limit=1),
            _fault("stt", "deep_nesting", at={"message": 2}, limit=1),
        ),
    ),
    Drill(
        id="F12",
        fault="a frame of 2 MiB",
        script=(_fault("stt", "oversize", at={"message": 2}, limit=1),),
    ),
    Drill(
        id="F13",
        fault="binary where text is due, and the reverse",
        script=(
            _fault("stt", "wrong_kind", at={"message": 2}, limit=1),
            _fault("tts", "wrong_kind", at={"message": 2}, limit=1),
        ),
    ),
    Drill(
        id="F14",
        fault="audio frames that end inside a sample",
        script=(_fault("tts", "odd_bytes"),),
    ),
    Drill(
        id="F15",
        fault="audio frames of no length",
        script=(_fault("tts", "zero_length", at={"message": 2}, times=3),),
    ),
    Drill(
        id="F17",
        fault="the voice sends no first audio",
        script=(_fault("tts", "half_open", at={"message": 1}, limit=1),),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F18",
        fault="the voice stalls in the middle of the reply",
        script=(_fault("tts", "half_open", at={"word": 6}, limit=1),),
    ),
    Drill(
        id="F19",
        fault="the voice closes in the middle of the reply",
        script=(_fault("tts", "close", at={"word": 6}, limit=1),),
    ),
    Drill(
        id="F20",
        fault="audio goes on after a barge-in",
        script=(_fault("tts", "audio_after_cancel", at={"message": 1}, ms=500),),
        barge_in=True,
        bookings=2,
    ),
    Drill(
        id="F21",
        fault="the model answers 503 twice",
        script=(_fault("llm", "http_status", status=503, limit=2),),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F22",
        fault="the model answers 429, try again in 1 s",
        script=(_fault("llm", "http_status", status=429, retry_after="1", limit=1),),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F23",
        fault="the model refuses the key",
        script=(_fault("llm", "http_status", status=401),),
        outcome="apology",
        bookings=0,
    ),
    Drill(
        id="F24",
        fault="the model's stream dies after text was spoken",
        script=(_fault("llm", "close", at={"word": 12}, limit=1),),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F25",
        fault="the model's stream dies inside a tool call",
        script=(_fault("llm", "half_tool_call", limit=1),),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F26",
        fault="the model's stream dies after the tool ran",
        script=(_fault("llm", "close", at={"word": 1}, limit=1),),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F27",
        fault="the model drips one byte a second",
        script=(_fault("llm", "drip", limit=2),),
        outcome="apology",
        dead_air_ms=8_500,  # of which the filler takes a part
        bookings=0,
    ),
    Drill(
        id="F28",
        fault="connection to the model refused twice",
        script=(_fault("llm", "refuse", limit=2),),
        dead_air_ms=_FILLED_PAUSE_MS,
    ),
    Drill(
        id="F29",
        fault="all three endpoints down",
        script=(
            _fault("stt", "reset"),
            _fault("stt", "refuse"),
            _fault("llm", "refuse"),
            _fault("tts", "reset"),
            _fault("tts", "refuse"),
        ),
        outcome="hang up",
        dead_air_ms=12_000,
        bookings=0,
    ),
)
