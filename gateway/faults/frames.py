"""The wrong messages that faults put on the wire, by stage."""

from __future__ import annotations

from gateway.faults.vocabulary import Do, Fault
from gateway.stats import Stage
from gateway.wire.strict_json import dumps

_GARBAGE = '{"is_final": tru\x00\ufffd <<not json>>'


def _event(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


def _wrong_types(stage: Stage) -> str:
    if stage == "llm":
        return '{"id":7,"object":"chat.completion.chunk","choices":{"delta":"none"}}'
    if stage == "stt":
        return '{"is_final":"yes","transcript":["one",2],"channel":"none"}'
    if stage == "realtime":
        return '{"type":"transcript","text":["one",2]}'
    return '{"type":["done"],"isFinal":"perhaps","audio":7}'


def _non_finite(stage: Stage, value: str) -> str:
    if stage == "llm":
        return f'{{"object":"chat.completion.chunk","created":{value},"choices":[]}}'
    if stage == "stt":
        return f'{{"is_final":false,"transcript":"","start":{value}}}'
    if stage == "realtime":
        return f'{{"type":"transcript","text":"","at":{value}}}'
    return f'{{"type":"progress","at":{value}}}'


def _oversize(stage: Stage, size: int) -> str | bytes:
    if stage == "tts":
        return bytes(size)
    if stage == "stt":
        return dumps({"is_final": False, "transcript": "x" * size})
    if stage == "realtime":
        return dumps({"type": "transcript", "text": "x" * size})
    return dumps({"id": "x", "object": "chat.completion.chunk", "choices": [], "x": "x" * size})


def _error(stage: Stage, status: int) -> str:
    if stage == "llm":
        return dumps({"error": {"message": "fault", "type": "server_error", "code": status}})
    return dumps({"type": "error", "message": "fault", "code": status, "recoverable": True})


def bad_message(fault: Fault) -> str | bytes:
    """Return what this fault puts on the wire: text or bytes of a frame, or bytes of an event."""
    stage = fault.stage
    message: str | bytes
    match fault.do:
        case Do.GARBAGE:
            message = _GARBAGE
        case Do.WRONG_TYPES:
            message = _wrong_types(stage)
        case Do.NON_FINITE:
            message = _non_finite(stage, fault.text("value"))
        case Do.DEEP_NESTING:
            message = "[" * fault.number("depth")
        case Do.OVERSIZE:
            message = _oversize(stage, fault.number("bytes"))
        case Do.WRONG_KIND:
            message = "not audio" if stage == "tts" else b"\x00\x01\x02"
        case Do.ZERO_LENGTH:
            message = b"" if stage == "tts" else ""
        case Do.ERROR_MESSAGE:
            message = _error(stage, fault.number("status"))
        case Do.BAD_BASE64:
            message = dumps({"type": "audio", "data": "c29tZSBhdWRpbw=?"})
        case _:
            raise ValueError(f"{fault.do} is not a message")
    return _event(message) if stage == "llm" and isinstance(message, str) else message
