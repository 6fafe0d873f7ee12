"""What a recogniser may say that it should not, and what becomes of it."""

from __future__ import annotations

import pytest
from livekit.agents import APIStatusError
from livekit.plugins import aigateway

from .aigateway_ears import ear, server, speak_quietly
from .aigateway_harness import KEY, WORDS, Connection, hold, say, silence, speak, transcribe

GARBAGE = [
    "not json",
    '{"is_final": true}',
    '{"is_final": "yes", "transcript": "x"}',
    '{"is_final": true, "transcript": 7}',
    '{"is_final": true, "transcript": "x", "confidence": NaN}',
    '{"is_final": true, "transcript": "x", "confidence": 1e999}',
    "[" * 60_000,
    b"\x00\x01",
]


@pytest.mark.parametrize("frame", GARBAGE, ids=lambda frame: str(frame)[:40])
async def test_F09_F10_F11_F13_one_bad_frame_is_dropped_and_counted(frame: str | bytes) -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=300)
        if isinstance(frame, bytes):
            await conn.ws.send_bytes(frame)
        else:
            await conn.ws.send_str(frame)
        await conn.send({"type": "SomethingNew", "value": 1})
        await transcribe(conn)

    async with server(script) as srv, ear(srv.url) as it:
        await speak(it.stream, silence(400) + say(WORDS[:2]), speed=2)
        heard = await it.finish()
    assert heard.words == WORDS[:2]
    assert it.engine.stats.bad_frames == 1
    assert heard.errors == []
    assert heard.faults == {"bad_frame": 1}


async def test_F09_five_bad_frames_in_a_row_reconnect() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=700)
        for _ in range(5):
            await conn.ws.send_str("{")
        await hold(conn)

    async with server(script, transcribe) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:6]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:6])]
    assert it.engine.stats.bad_frames == 5
    assert heard.faults == {"bad_frame": 5, "protocol": 1}
    assert [type(error.error) for error in heard.errors] == [aigateway.ProtocolError]


async def test_F12_oversized_frame_reconnects() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=700)
        await conn.ws.send_str("x" * (4 * 1024 * 1024))
        await hold(conn)

    async with server(script, transcribe) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:6]))
        heard = await it.finish()
    assert heard.finals == [" ".join(WORDS[:6])]
    assert len(heard.errors) == 1
    assert heard.faults == {"closed": 1}


async def test_late_and_repeated_finals_are_passed_on_once() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=700)
        for _ in range(3):
            await conn.send({"is_final": True, "transcript": "alpha bravo"})
        await transcribe(conn)

    async with server(script) as srv, ear(srv.url) as it:
        await speak(it.stream, say(WORDS[:2], pause_ms=1000))
        heard = await it.finish()
    assert heard.finals[:1] == ["alpha bravo"]
    assert it.engine.stats.duplicate_finals >= 2
    assert heard.faults == {"repeated_final": it.engine.stats.duplicate_finals}
    heard.assert_in_order()


async def test_error_envelope_on_a_live_socket_has_its_verdict() -> None:
    async def script(conn: Connection) -> None:
        await transcribe(conn, until_ms=300)
        await conn.send({"type": "error", "message": f"no {KEY}", "code": "insufficient_quota"})
        await hold(conn)

    async with server(script) as srv, ear(srv.url) as it:
        await speak_quietly(it, say(WORDS[:4]))
        heard = await it.finish()
    assert isinstance(heard.raised, APIStatusError)
    assert heard.raised.status_code == 402
    assert len(heard.errors) == 1
    assert heard.faults == {"rejected": 1}
    assert KEY not in repr(heard.raised)
