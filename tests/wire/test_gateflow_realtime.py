"""Whole pipelines as a realtime model, over both transports."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import llm
from livekit.plugins import gateflow

from .gateflow_harness import (
    BRISK,
    REAL,
    REPLY,
    REPLY_S,
    SAID,
    SLOW,
    rig,
    talk,
    verdicts,
)
from .gateway_harness import eventually, two_cities
from .vendors import WORDS

WAITS = gateflow.RealtimeTimeouts(
    first_event_s=0.6, between_events_s=0.3, quiet_s=0.3, turn_s=3.0, reconnect_s=3.0, close_s=0.2
)


async def test_a_pipeline_answers_what_was_said() -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="pipeline") as call:
        await call.answer(SAID)
        text, length = await call.reply()
        assert text == REPLY
        assert length == pytest.approx(REPLY_S, abs=0.3)
        assert [heard.transcript for heard in call.heard if heard.is_final] == [WORDS]
        assert len({heard.item_id for heard in call.heard}) == 1
        assert not call.errors
        assert call.met.counts == {}


async def test_a_socket_answers_what_was_said_and_then_the_next() -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="websocket", timeouts=WAITS) as call:
        await call.say(SAID)
        text, length = await call.reply()
        assert text == REPLY
        assert length == pytest.approx(REPLY_S, abs=0.3)
        await call.say(SAID)
        await call.reply(number=2)
        assert not call.errors
        assert call.heard == []  # strict: nobody says what the caller said
        assert it.gateway.stats.stages["realtime"].opened == 1


async def test_an_extended_socket_tells_more_and_is_understood() -> None:
    async with rig(sim=BRISK, extended=True) as it, talk(it, transport="websocket") as call:
        await call.say(SAID)
        text, _ = await call.reply()
        assert text == REPLY
        assert [heard.transcript for heard in call.heard] == [WORDS]


async def test_real_speech_interrupts_on_this_side() -> None:
    async with rig(sim=SLOW) as it, talk(it, transport="websocket", timeouts=WAITS) as call:
        await call.say(SAID)
        while not call.begun:
            await call.say(bytes(640))
        call.session.interrupt()
        await call.say(two_cities()[:64_000])
        assert call.interruptions >= 1
        text, length = call.replies[0]
        assert length < 0.06 * len(REPLY)  # the rest of it was not heard
        assert REPLY.startswith(text)


async def test_F20_nothing_of_an_interrupted_reply_is_heard_later() -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="websocket", timeouts=WAITS) as call:
        await call.say(SAID)
        while not call.begun:
            await call.say(bytes(640))
        call.session.interrupt()
        await call.say(bytes(16_000))
        assert call.begun == 1
        await call.say(SAID)
        text, length = await call.reply(number=2)
        assert text == REPLY
        assert length == pytest.approx(REPLY_S, abs=0.3)


async def test_an_interrupted_pipeline_closes_its_request() -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="pipeline") as call:
        await call.answer(SAID)
        call.session.interrupt()
        await call.reply()
        await eventually(lambda: it.gateway.stats.stages["realtime"].closed_by_client == 1)


async def test_what_the_wire_cannot_do_is_said() -> None:
    async with rig(sim=BRISK) as it:
        for transport in ("websocket", "pipeline"):
            async with talk(it, transport=transport) as call:
                with pytest.raises(llm.RealtimeError):
                    await call.session.generate_reply()
        on_socket = gateflow.RealtimeModel(**it.access).capabilities
        assert (on_socket.turn_detection, on_socket.user_transcription) == (True, False)
        pipeline = gateflow.RealtimeModel(**it.access, transport="pipeline").capabilities
        assert (pipeline.turn_detection, pipeline.user_transcription) == (False, True)


@pytest.mark.parametrize(
    ("transport", "do"),
    [
        ("pipeline", "garbage"),
        ("pipeline", "wrong_types"),
        ("pipeline", "non_finite"),
        ("pipeline", "deep_nesting"),
        ("pipeline", "bad_base64"),
        ("pipeline", "zero_length"),
        # the same decoder reads the socket: here it is the socket's own handling that counts
        ("websocket", "garbage"),
        ("websocket", "non_finite"),
        ("websocket", "bad_base64"),
        ("websocket", "zero_length"),
    ],
)
async def test_F09_F10_F11_F16_a_bad_message_is_left_out(do: str, transport: Any) -> None:
    async with rig(sim=BRISK) as it, talk(it, transport=transport, timeouts=WAITS) as call:
        it.fault("realtime", do, at={"message": 2})
        if transport == "pipeline":
            await call.answer(SAID)
        else:
            await call.say(SAID)
        text, length = await call.reply()
        assert text == REPLY
        assert length == pytest.approx(REPLY_S, abs=0.3)
        assert not call.errors
        # an empty line is no message, and a broken one may be told apart into two
        assert set(call.met.counts) <= {"bad_frame"}
        assert it.gateway.faults.fired(do) == 1


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        ("refuse", {}),
        ("http_status", {"status": 503}),
        ("reset", {"at": {"message": 1}}),
        ("close", {"at": {"message": 1}}),
        ("stall", {"ms": 5000}),
        ("half_open", {}),
        ("drip", {"bytes_per_s": 1}),
        ("bad_base64", {"times": 5, "at": {"message": 1}}),
        ("error_message", {"at": {"message": 1}}),
    ],
)
async def test_F05_F06_F27_a_pipeline_that_breaks_off_before_it_answers_is_asked_again(
    do: str, fields: dict[str, Any]
) -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="pipeline", timeouts=WAITS) as call:
        it.fault("realtime", do, connection=1, **fields)
        await call.answer(SAID)
        text, _ = await call.reply()
        assert text == REPLY
        assert not call.errors
        assert [heard.transcript for heard in call.heard if heard.is_final] == [WORDS]
        assert sum(call.met.counts.values()) >= 1


async def test_F08_a_pipeline_in_small_pieces_is_put_together() -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="pipeline", timeouts=WAITS) as call:
        it.fault("realtime", "slice", bytes=1_000)
        await call.answer(SAID)
        text, length = await call.reply()
        assert text == REPLY
        assert length == pytest.approx(REPLY_S, abs=0.3)
        assert call.met.counts == {}


async def test_F24_a_pipeline_that_breaks_off_in_its_answer_says_nothing_twice() -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="pipeline", timeouts=WAITS) as call:
        it.fault("realtime", "reset", at={"word": 10})
        await call.answer(SAID)
        text, length = await call.reply()
        assert 0 < length < REPLY_S
        assert text
        assert verdicts(call.errors) == [True]  # the turn is lost, the call is not
        assert it.gateway.stats.stages["realtime"].opened == 1


@pytest.mark.parametrize("status", [400, 401, 404])
@pytest.mark.parametrize("transport", ["pipeline", "websocket"])
async def test_F23_refusals_are_final(status: int, transport: Any) -> None:
    async with rig(sim=BRISK) as it, talk(it, transport=transport, timeouts=WAITS) as call:
        it.fault("realtime", "http_status", status=status)
        if transport == "pipeline":
            with pytest.raises(llm.RealtimeError):
                await call.answer(SAID)
        else:
            await call.say(SAID)
        assert verdicts(call.errors) == [False]
        assert it.gateway.faults.fired("http_status") == 1


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        ("reset", {}),
        ("close", {"code": 1011}),
        ("half_open", {}),
        ("bad_base64", {"times": 5}),
        ("oversize", {}),
    ],
)
async def test_F01_F05_F12_a_lost_socket_is_replaced(do: str, fields: dict[str, Any]) -> None:
    waits = gateflow.RealtimeTimeouts(quiet_s=0.3, heartbeat_s=0.6, reconnect_s=5.0, close_s=0.2)
    async with rig(sim=BRISK) as it, talk(it, transport="websocket", timeouts=waits) as call:
        it.fault("realtime", do, connection=1, at={"ms": 100}, **fields)
        await call.say(bytes(16_000))
        if do != "half_open":
            await eventually(lambda: it.gateway.stats.stages["realtime"].opened >= 2)
        else:
            await call.say(bytes(48_000))
        await call.say(SAID)
        text, _ = await call.reply()
        assert text == REPLY
        assert verdicts(call.errors) == [True]
        assert it.gateway.stats.stages["realtime"].opened == 2


async def test_a_recoverable_error_costs_no_session() -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="websocket", timeouts=WAITS) as call:
        it.fault("realtime", "error_message", at={"message": 1}, limit=1)
        await call.say(SAID)
        await call.reply()
        assert verdicts(call.errors) == [True]
        assert it.gateway.stats.stages["realtime"].opened == 1


async def test_F06_a_socket_that_is_always_closed_at_once_is_given_up() -> None:
    async with rig(sim=BRISK) as it, talk(it, transport="websocket", timeouts=WAITS) as call:
        it.fault("realtime", "close")
        await call.say(SAID * 2)
        assert verdicts(call.errors)[-1] is False
        assert it.gateway.stats.stages["realtime"].opened <= 6


@pytest.mark.alone
async def test_a_conversation_of_real_engines() -> None:
    async with rig(**REAL) as it, talk(it, transport="websocket") as call:
        await call.session.update_instructions("You are a helpful assistant.")
        await call.say(two_cities()[32_000:89_600])  # up to a pause
        text, length = await call.reply()
        assert text
        assert length > 0.5
