"""The drills: which fault, put into the call when, and what the caller may notice of it at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["answer", "apology", "hang up"]
Fault = dict[str, Any]

GREETING = "Hello, this is Parley."


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the caller asks for.

    Attributes:
        text: Its words.
        answer: A word of the right answer, as the caller's own recogniser writes it. The day is
            none: on the day before, it is called tomorrow.
    """

    text: str
    answer: str


LINES = (
    Line(text="Book me a flight to Lisbon on Friday.", answer="lisbon"),
    Line(text="Book me a flight to Boston on Monday.", answer="boston"),
)
"""Asked in turn: to ask again for what was booked and not told is no second booking."""
BARGE_IN = Line(text="Thank you. Book me a flight to London on Tuesday.", answer="london")

_HEALED_MS = 4_000
"""Dead air before and inside a reply that a healed fault may cause: a reconnect, or a missing
first sound that is awaited for 1.5 s and asked for again."""
_LONGEST_MS = 5_000
"""Dead air while anything can still speak, whatever happens."""
_REQUESTS = 30
"""Sockets and requests of a question. Without a fault it takes 5 to 12, by how often it is
speculated; a reconnect without a wait in between takes hundreds."""
_REQUESTS_OF_A_DEAD_STAGE = 80
"""The same while a stage is asked again and again until the agent hangs up, after some 12 s."""
_QUESTIONS_A_CALL = 7


@dataclass(frozen=True, kw_only=True)
class Drill:
    """One fault, in one question of a call.

    Attributes:
        id: The case's name, as the tests have it.
        fault: What goes wrong, for people.
        script: The fault script (see `docs/faults-vocabulary.md`), in force while the caller asks
            and until the reply is over.
        outcome: What must come of the caller's request.
        dead_air_ms: The longest silence while the caller waits may be no longer.
        bookings: Flights that may have been booked in the end.
        requests: Sockets and requests that the gateway may see at most.
        muted_s: Silence of the caller before it speaks.
        reason: Why the bar of this row is another one than that of the same case elsewhere.
        barge_in: Whether the caller interrupts the reply with another request.
    """

    id: str
    fault: str
    script: tuple[Fault, ...] = ()
    outcome: Outcome = "answer"
    dead_air_ms: int = _HEALED_MS
    bookings: int = 1
    requests: int = _REQUESTS
    muted_s: float = 0.0
    reason: str = ""
    barge_in: bool = False


def _case(case: str, fault: str, *script: Fault, **rest: Any) -> Drill:
    return Drill(id=case, fault=fault, script=script, **rest)


def _stt(do: str, **fields: Any) -> Fault:
    return {"stage": "stt", "do": do} | fields


def _llm(do: str, **fields: Any) -> Fault:
    return {"stage": "llm", "do": do} | fields


def _tts(do: str, **fields: Any) -> Fault:
    return {"stage": "tts", "do": do} | fields


UNDISTURBED = Drill(id="none", fault="none, for comparison")

_MIDDLE: Fault = {"at": {"word": 3}}
_SECOND: Fault = {"at": {"message": 2}}
_MIDDLE_OF_A_REPLY: Fault = {"at": {"byte": 75_000}}
"""After 1.6 s of 24 kHz audio: the city has been told, and the first clause is not over."""

DRILLS: tuple[Drill, ...] = (
    _case(
        "F01",
        "speech-to-text socket reset in the middle of the utterance",
        _stt("reset", **_MIDDLE, limit=1),
    ),
    _case(
        "F02",
        "the final transcript never comes",
        _stt("missing_final", limit=1),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F03",
        "three resets in one utterance",
        _stt("reset", **_MIDDLE, limit=3),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F05",
        "half-open speech-to-text socket: packets vanish",
        _stt("half_open", **_MIDDLE, limit=1),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F06",
        "speech-to-text accepts and closes at once, for ever",
        _stt("close"),
        outcome="hang up",
        dead_air_ms=_LONGEST_MS,
        bookings=0,
        requests=_REQUESTS_OF_A_DEAD_STAGE,
    ),
    _case("F07", "caller muted for 11 s, then speaks", muted_s=11.0),
    _case(
        "F08",
        "200 ms more latency with 100 ms of jitter, bytes one by one",
        _stt("delay", ms=200, jitter_ms=100),
        _stt("slice", bytes=1),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F09",
        "five frames of garbage in a row",
        _stt("garbage", **_SECOND, times=5, limit=1),
    ),
    _case("F10", "JSON of the wrong types", _stt("wrong_types", **_SECOND, times=2, limit=1)),
    _case(
        "F11",
        "1e999 and a hundred thousand brackets",
        _stt("non_finite", at={"message": 1}, value="1e999", limit=1),
        _stt("deep_nesting", **_SECOND, limit=1),
    ),
    _case("F12", "a frame of 2 MiB", _stt("oversize", **_SECOND, limit=1)),
    _case(
        "F13",
        "binary where text is due, and the reverse",
        _stt("wrong_kind", **_SECOND, limit=1),
        _tts("wrong_kind", **_SECOND, limit=1),
    ),
    _case("F14", "audio frames that end inside a sample", _tts("odd_bytes")),
    _case("F15", "audio frames of no length", _tts("zero_length", **_SECOND, times=3)),
    _case(
        "F17",
        "the voice sends no first audio",
        _tts("half_open", at={"message": 1}, limit=1),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F18",
        "the voice stalls in the middle of the reply",
        _tts("half_open", **_MIDDLE_OF_A_REPLY, limit=1),
    ),
    _case(
        "F19",
        "the voice closes in the middle of the reply",
        _tts("close", **_MIDDLE_OF_A_REPLY, limit=1),
    ),
    _case(
        "F20",
        "audio goes on after a barge-in",
        _tts("audio_after_cancel", at={"message": 1}, ms=500),
        barge_in=True,
        bookings=2,
    ),
    _case(
        "F21",
        "the model answers 503 twice",
        _llm("http_status", status=503, limit=2),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F22",
        "the model answers 429, try again in 1 s",
        _llm("http_status", status=429, retry_after="1", limit=1),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F23",
        "the model refuses the key",
        _llm("http_status", status=401),
        outcome="apology",
        bookings=0,
    ),
    _case(
        "F24",
        "the model's stream dies after text was spoken",
        _llm("close", at={"word": 12}, limit=1),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F25",
        "the model's stream dies inside a tool call",
        _llm("half_tool_call", limit=1),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F26",
        "the model's stream dies after the tool ran",
        _llm("close", at={"word": 1}, limit=1),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F27",
        "the model drips one byte a second",
        _llm("drip"),
        outcome="apology",
        dead_air_ms=_LONGEST_MS,
        bookings=0,
    ),
    _case(
        "F28",
        "connection to the model refused twice",
        _llm("refuse", limit=2),
        dead_air_ms=_LONGEST_MS,
    ),
    _case(
        "F29",
        "all three endpoints down",
        _stt("reset"),
        _stt("refuse"),
        _llm("refuse"),
        _tts("reset"),
        _tts("refuse"),
        outcome="hang up",
        dead_air_ms=_LONGEST_MS,
        bookings=0,
        requests=_REQUESTS_OF_A_DEAD_STAGE,
    ),
)


def in_calls(drills: Sequence[Drill]) -> Iterator[list[Drill]]:
    """Share the drills out among calls, in their order; what ends a call is its last question."""
    endings = [drill for drill in drills if drill.outcome == "hang up"]
    others = [drill for drill in drills if drill.outcome != "hang up"]
    while others or endings:
        call, others = others[:_QUESTIONS_A_CALL], others[_QUESTIONS_A_CALL:]
        yield [*call, *endings[:1]]
        endings = endings[1:]
