"""The vocabulary of fault scripts: one for files, for the admin call and for tests.

A script is an object with a list of faults and, if it likes, a seed::

    {"seed": 7, "faults": [{"stage": "stt", "connection": 1, "at": {"byte": 48000}, "do": "reset"}]}

docs/faults-vocabulary.md explains every word of it with an example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import TypeAlias, cast, get_args

from gateway.errors import ProtocolError
from gateway.stats import Stage
from gateway.wire.strict_json import JsonObject, JsonValue

MAX_FAULTS = 1_000
"""Faults in one script."""

_MAX_CONNECTION = 1_000_000
_MAX_MS = 600_000
_MAX_BYTES = 64 * 1024 * 1024

Parameter: TypeAlias = int | float | str


class When(Enum):
    """At which moments a fault can act."""

    BEFORE_ANSWER = "before the answer"
    """Instead of the answer to the handshake or request; takes no `at`."""
    FROM_CONNECT = "from the connect"
    """Without `at`: before the answer; with it: after, when that point is reached."""
    ONCE_OPEN = "once open"
    """Without `at`: as soon as the handshake or request was accepted."""
    AT_FINALS = "at finals"
    """Without `at`: at each final; `at` may only count messages, and counts finals then."""
    AT_ARGUMENTS = "at arguments"
    """In the middle of a tool call; takes no `at`."""


class Do(StrEnum):
    """What a fault does."""

    REFUSE = "refuse"
    HTTP_STATUS = "http_status"
    REDIRECT = "redirect"
    RESET = "reset"
    CLOSE = "close"
    HALF_OPEN = "half_open"
    STALL = "stall"
    DELAY = "delay"
    DRIP = "drip"
    SLICE = "slice"
    GARBAGE = "garbage"
    WRONG_TYPES = "wrong_types"
    WRONG_KIND = "wrong_kind"
    NON_FINITE = "non_finite"
    DEEP_NESTING = "deep_nesting"
    OVERSIZE = "oversize"
    ZERO_LENGTH = "zero_length"
    ERROR_MESSAGE = "error_message"
    BAD_BASE64 = "bad_base64"
    ODD_BYTES = "odd_bytes"
    WRONG_RATE = "wrong_rate"
    LATE_FINAL = "late_final"
    DUPLICATE_FINAL = "duplicate_final"
    MISSING_FINAL = "missing_final"
    AUDIO_AFTER_CANCEL = "audio_after_cancel"
    TRUNCATE = "truncate"
    HALF_TOOL_CALL = "half_tool_call"


@dataclass(frozen=True)
class Number:
    """A whole-number parameter."""

    default: int
    least: int
    most: int


@dataclass(frozen=True)
class Text:
    """A text parameter; None as default makes it required, the empty string leaves it out."""

    default: str | None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """Where and when a kind of fault can act, and its parameters with their defaults."""

    when: When
    stages: tuple[Stage, ...] = ("stt", "llm", "tts", "realtime")
    parameters: Mapping[str, Number | Text] = field(default_factory=dict)


_MS = Number(1_000, 0, _MAX_MS)
_TIMES = Number(1, 1, 1_000)
_STATUS = Number(503, 400, 599)
_SPEECH: tuple[Stage, ...] = ("stt", "tts", "realtime")

KINDS: Mapping[Do, Kind] = MappingProxyType(
    {
        Do.REFUSE: Kind(When.BEFORE_ANSWER),
        Do.HTTP_STATUS: Kind(
            When.BEFORE_ANSWER, parameters={"status": _STATUS, "retry_after": Text("")}
        ),
        Do.REDIRECT: Kind(When.BEFORE_ANSWER, parameters={"location": Text(None)}),
        Do.RESET: Kind(When.FROM_CONNECT),
        Do.CLOSE: Kind(When.ONCE_OPEN, parameters={"code": Number(1011, 1000, 4999)}),
        Do.HALF_OPEN: Kind(When.FROM_CONNECT),
        Do.STALL: Kind(When.FROM_CONNECT, parameters={"ms": _MS}),
        Do.DELAY: Kind(
            When.FROM_CONNECT,
            parameters={"ms": Number(200, 0, _MAX_MS), "jitter_ms": Number(0, 0, _MAX_MS)},
        ),
        Do.DRIP: Kind(When.FROM_CONNECT, parameters={"bytes_per_s": Number(1, 1, _MAX_BYTES)}),
        Do.SLICE: Kind(When.FROM_CONNECT, parameters={"bytes": Number(1, 1, _MAX_BYTES)}),
        Do.GARBAGE: Kind(When.ONCE_OPEN, parameters={"times": _TIMES}),
        Do.WRONG_TYPES: Kind(When.ONCE_OPEN, parameters={"times": _TIMES}),
        Do.WRONG_KIND: Kind(When.ONCE_OPEN, stages=_SPEECH, parameters={"times": _TIMES}),
        Do.NON_FINITE: Kind(
            When.ONCE_OPEN,
            parameters={
                "times": _TIMES,
                "value": Text("NaN", ("NaN", "Infinity", "-Infinity", "1e999")),
            },
        ),
        Do.DEEP_NESTING: Kind(
            When.ONCE_OPEN,
            parameters={"times": _TIMES, "depth": Number(100_000, 1, _MAX_BYTES)},
        ),
        Do.OVERSIZE: Kind(
            When.ONCE_OPEN, parameters={"bytes": Number(2 * 1024 * 1024, 1, _MAX_BYTES)}
        ),
        Do.ZERO_LENGTH: Kind(When.ONCE_OPEN, stages=_SPEECH, parameters={"times": _TIMES}),
        Do.ERROR_MESSAGE: Kind(When.ONCE_OPEN, parameters={"status": _STATUS}),
        Do.BAD_BASE64: Kind(When.ONCE_OPEN, stages=("realtime",), parameters={"times": _TIMES}),
        Do.ODD_BYTES: Kind(When.ONCE_OPEN, stages=("tts",)),
        Do.WRONG_RATE: Kind(
            When.ONCE_OPEN, stages=("tts",), parameters={"rate_hz": Number(16_000, 4_000, 96_000)}
        ),
        Do.LATE_FINAL: Kind(When.AT_FINALS, stages=("stt",), parameters={"ms": _MS}),
        Do.DUPLICATE_FINAL: Kind(When.AT_FINALS, stages=("stt",)),
        Do.MISSING_FINAL: Kind(When.AT_FINALS, stages=("stt",)),
        Do.AUDIO_AFTER_CANCEL: Kind(When.ONCE_OPEN, stages=("tts",), parameters={"ms": _MS}),
        Do.TRUNCATE: Kind(When.ONCE_OPEN, stages=("llm",)),
        Do.HALF_TOOL_CALL: Kind(When.AT_ARGUMENTS, stages=("llm",)),
    }
)


class Point(StrEnum):
    """What a trigger counts."""

    BYTE = "byte"
    """Speech to text and realtime: bytes of audio received; else bytes of audio, or of a body,
    sent."""
    MESSAGE = "message"
    """Messages sent: transcripts, audio frames, events. Faults of finals count finals."""
    MS = "ms"
    """Time since the connection was accepted."""
    WORD = "word"
    """Words told: in transcripts, in texts being spoken, in the answer."""


@dataclass(frozen=True)
class Trigger:
    """The moment at which a fault acts: just before the message that reaches the count."""

    point: Point
    count: int


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One line of a script."""

    stage: Stage
    do: Do
    connections: frozenset[int] | None = None
    """Which connections of the stage, counted from 1 since the script was set; None is all."""
    key: int | None = None
    """Which key the client came with, counted from 1 since the gateway started; None is any."""
    at: Trigger | None = None
    probability: float = 1.0
    """Chance that a matching connection gets the fault."""
    limit: int | None = None
    """How often it acts in all; None is without end."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """Return a whole-number parameter, or its default."""
        kind = KINDS[self.do].parameters[name]
        assert isinstance(kind, Number)
        return int(self.parameters.get(name, kind.default))

    def text(self, name: str) -> str:
        """Return a text parameter, or its default."""
        kind = KINDS[self.do].parameters[name]
        assert isinstance(kind, Text)
        return str(self.parameters.get(name, kind.default))

    def as_object(self) -> dict[str, object]:
        """Return the fault as a script has it."""
        result: dict[str, object] = {"stage": self.stage, "do": self.do.value}
        if self.connections is not None:
            result["connection"] = sorted(self.connections)
        if self.key is not None:
            result["key"] = self.key
        if self.at is not None:
            result["at"] = {self.at.point.value: self.at.count}
        if self.probability < 1:
            result["probability"] = self.probability
        if self.limit is not None:
            result["limit"] = self.limit
        return result | dict(self.parameters)


@dataclass(frozen=True, kw_only=True)
class Script:
    """A fault script."""

    faults: tuple[Fault, ...]
    seed: int | None = None
    """Seed of all that is left to chance; None leaves the choice to the gateway."""


def _whole(value: JsonValue, name: str, *, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ProtocolError(f"'{name}' must be a whole number from {least} to {most}")
    return value


def _connections(value: JsonValue) -> frozenset[int] | None:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    return frozenset(_whole(item, "connection", least=1, most=_MAX_CONNECTION) for item in values)


def _trigger(value: JsonValue) -> Trigger | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) != 1:
        raise ProtocolError("'at' must be an object with one of: " + ", ".join(Point))
    [(name, count)] = value.items()
    if name not in list(Point):
        raise ProtocolError("'at' must be an object with one of: " + ", ".join(Point))
    least = 0 if name == Point.MS else 1
    return Trigger(Point(name), _whole(count, name, least=least, most=_MAX_BYTES))


def _parameters(do: Do, values: JsonObject) -> dict[str, Parameter]:
    kinds = KINDS[do].parameters
    if unknown := values.keys() - kinds.keys():
        raise ProtocolError(f"'{do}' has no parameter {', '.join(map(repr, sorted(unknown)))}")
    parameters: dict[str, Parameter] = {}
    for name, kind in kinds.items():
        if name not in values:
            if isinstance(kind, Text) and kind.default is None:
                raise ProtocolError(f"'{do}' needs the parameter '{name}'")
            continue
        value = values[name]
        if isinstance(kind, Number):
            parameters[name] = _whole(value, name, least=kind.least, most=kind.most)
        elif not isinstance(value, str) or (kind.choices and value not in kind.choices):
            wanted = f"one of {', '.join(kind.choices)}" if kind.choices else "a text"
            raise ProtocolError(f"'{name}' must be {wanted}")
        elif "\r" in value or "\n" in value:
            raise ProtocolError(f"'{name}' must not break lines")
        else:
            parameters[name] = value
    return parameters


def _probability(value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ProtocolError("'probability' must lie between 0 and 1")
    return float(value)


def _count(value: JsonValue, name: str) -> int | None:
    return None if value is None else _whole(value, name, least=1, most=_MAX_CONNECTION)


def _stage(value: JsonValue) -> Stage:
    if value in get_args(Stage):
        return cast("Stage", value)
    raise ProtocolError("'stage' must be one of: " + ", ".join(get_args(Stage)))


def decode_fault(value: JsonValue) -> Fault:
    """Read one fault.

    Raises:
        ProtocolError: with a sentence that says what is wrong.
    """
    if not isinstance(value, dict):
        raise ProtocolError("each fault must be an object")
    values = dict(value)
    stage = _stage(values.pop("stage", None))
    name = values.pop("do", None)
    if name not in list(Do):
        raise ProtocolError("'do' must be one of: " + ", ".join(Do))
    do = Do(str(name))
    kind = KINDS[do]
    if stage not in kind.stages:
        raise ProtocolError(f"'{do}' is for {' and '.join(kind.stages)} only")
    connections = _connections(values.pop("connection", None))
    at = _trigger(values.pop("at", None))
    if at is not None and kind.when in (When.BEFORE_ANSWER, When.AT_ARGUMENTS):
        raise ProtocolError(f"'{do}' has its own moment, so it takes no 'at'")
    if at is not None and kind.when is When.AT_FINALS and at.point is not Point.MESSAGE:
        raise ProtocolError(f"'at' of '{do}' counts finals, so it must be a message")
    return Fault(
        stage=stage,
        do=do,
        connections=connections,
        key=_count(values.pop("key", None), "key"),
        at=at,
        probability=_probability(values.pop("probability", 1.0)),
        limit=_count(values.pop("limit", None), "limit"),
        parameters=MappingProxyType(_parameters(do, values)),
    )


def _decode_faults(values: Sequence[JsonValue]) -> tuple[Fault, ...]:
    if len(values) > MAX_FAULTS:
        raise ProtocolError(f"a script has at most {MAX_FAULTS} faults")
    faults = []
    for number, value in enumerate(values, start=1):
        try:
            faults.append(decode_fault(value))
        except ProtocolError as error:
            raise ProtocolError(f"fault {number}: {error}") from None
    return tuple(faults)


def decode_script(body: JsonObject) -> Script:
    """Read a script.

    Raises:
        ProtocolError: with a sentence that says what is wrong.
    """
    if unknown := body.keys() - {"seed", "faults"}:
        raise ProtocolError(f"a script has no {', '.join(map(repr, sorted(unknown)))}")
    faults, seed = body.get("faults"), body.get("seed")
    if not isinstance(faults, list):
        raise ProtocolError("'faults' must be a list")
    if seed is not None:
        seed = _whole(seed, "seed", least=0, most=2**63)
    return Script(faults=_decode_faults(faults), seed=seed)
