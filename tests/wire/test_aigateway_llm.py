"""The language model against a scripted server: what is sent, what is retried, what is not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web
from livekit.agents import (
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    llm,
)
from livekit.plugins import aigateway

from .aigateway_harness import KEY
from .aigateway_mind import Script, answer, call, lookup_order, mind, status, text


async def test_text_and_headers() -> None:
    async with mind(answer(text("It is "), text("on its way.")), store_transcript=True) as it:
        await it.ask()
        assert it.said == "It is on its way."
        assert len(it.metrics) == 1
        assert it.engine.provider == "AIgateway"
        sent = it.requests[0]
        assert sent["Authorization"] == f"Bearer {KEY}"
        assert sent["x-aig-tag"] == "voice.llm"
        assert sent["x-aig-store-transcript"] == "true"


async def test_nothing_of_the_framework_goes_to_the_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "livekit.agents.inference.llm.get_inference_headers",
        lambda **_: {"X-LiveKit-Worker-Token": "secret", "X-LiveKit-Room-ID": "RM_1"},
    )
    async with mind(answer(text("Hi."))) as it:
        await it.ask()
        assert [name for name in it.requests[0] if name.lower().startswith("x-livekit")] == []


async def test_a_tool_call() -> None:
    script = answer(call("", name="lookup_order"), call('{"email": "a@b.c"}'), finish="tool_calls")
    async with mind(script) as it:
        await it.ask()
        assert [(c.name, c.arguments) for c in it.calls] == [("lookup_order", '{"email": "a@b.c"}')]


async def test_options_change_from_the_next_request_on() -> None:
    seen: list[dict[str, Any]] = []

    async def script(request: web.Request) -> web.StreamResponse:
        seen.append(await request.json())
        return await answer(text("Hi."))(request)

    async with mind(script) as it:
        it.engine.update_options(model="other/model", temperature=0.1)
        await it.ask()
        assert (seen[0]["model"], seen[0]["temperature"]) == ("other/model", 0.1)
        assert seen[0]["stream"] is True
        assert seen[0]["stream_options"] == {"include_usage": True}
        assert "strict" not in seen[0]["tools"][0]["function"]


async def test_prewarm_takes_any_answer() -> None:
    async with mind(status(404)) as it:
        it.engine.prewarm()
        await asyncio.sleep(0.2)
        assert len(it.requests) == 1
        assert it.errors == []


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_F21_server_errors_are_retried(code: int) -> None:
    async with mind(status(code), answer(text("Here."))) as it:
        await it.ask()
        assert it.said == "Here."
        assert [error.recoverable for error in it.errors] == [True]
        assert len(it.requests) == 2
        assert it.faults == {"server_error": 1}


async def test_F22_retry_after_one_second_is_honoured() -> None:
    async with mind(status(429, **{"Retry-After": "1"}), answer(text("Here."))) as it:
        started = time.monotonic()
        await it.ask()
        assert 1.0 <= time.monotonic() - started < 2.0
        assert it.said == "Here."
        assert it.faults == {"rate_limited": 1}


async def test_F22_what_is_cancelled_while_it_waits_has_met_its_fault() -> None:
    async with mind(status(429, **{"Retry-After": "1"})) as it:
        asking = asyncio.create_task(it.ask())
        async with asyncio.timeout(5):
            while not it.faults:
                await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert it.faults == {"rate_limited": 1}


async def test_F22_retry_after_beyond_the_deadline_gives_up_at_once() -> None:
    async with mind(status(429, **{"Retry-After": "60"})) as it:
        started = time.monotonic()
        with pytest.raises(APIStatusError) as failure:
            await it.ask()
        assert failure.value.status_code == 429
        assert time.monotonic() - started < 0.5
        assert len(it.requests) == 1
        assert it.faults == {"rate_limited": 1}


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2037 07:28:00 GMT", "soon", "-5", "1e9", "٣", ""])
async def test_F22_a_retry_after_that_is_no_number_is_as_if_absent(value: str) -> None:
    header = {"Retry-After": value.encode().decode("latin-1")}
    async with mind(status(429, **header), answer(text("Here."))) as it:
        started = time.monotonic()
        await it.ask()
        assert time.monotonic() - started < 1.0
        assert len(it.requests) == 2
        assert it.faults == {"rate_limited": 1}


@pytest.mark.parametrize("code", [400, 401, 402, 403, 404])
async def test_F23_client_errors_are_final(code: int) -> None:
    async with mind(status(code)) as it:
        with pytest.raises(APIStatusError) as failure:
            await it.ask()
        assert failure.value.status_code == code
        assert KEY not in repr(failure.value)
        assert len(it.requests) == 1
        assert len(it.errors) == 1
        assert it.faults == {"rejected": 1}


@pytest.mark.parametrize("broken", [{"reset": True}, {"finish": None}])
async def test_F24_nothing_is_said_twice(broken: dict[str, Any]) -> None:
    async with mind(answer(text("Your order "), **broken), answer(text("Again."))) as it:
        with pytest.raises(APIError) as failure:
            await it.ask()
        assert not failure.value.retryable
        assert it.said == "Your order "
        assert len(it.requests) == 1
        assert it.faults == {"truncated": 1}


BROKEN_CALLS = {
    "reset": answer(call("", name="lookup_order"), call('{"ema'), finish=None, reset=True),
    "clean end": answer(call("", name="lookup_order"), call('{"ema'), finish=None),
    "cut by length": answer(call("", name="lookup_order"), call('{"ema'), finish="length"),
    "finished in half": answer(call("", name="lookup_order"), call('{"ema'), finish="tool_calls"),
}


@pytest.mark.parametrize("script", BROKEN_CALLS.values(), ids=BROKEN_CALLS.keys())
async def test_F25_half_a_tool_call_is_asked_for_again(script: Script) -> None:
    whole = answer(call('{"email": "a@b.c"}', name="lookup_order"), finish="tool_calls")
    async with mind(script, whole) as it:
        await it.ask()
        assert [c.arguments for c in it.calls] == ['{"email": "a@b.c"}']
        assert [error.recoverable for error in it.errors] == [True]
        assert it.faults == {"truncated": 1}


async def drip_headers(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + b"X" * 200:
        request.transport.write(bytes([byte]))
        await asyncio.sleep(0.05)
    return web.Response()


async def drip_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for _ in range(200):
        await response.write(b":")
        await asyncio.sleep(0.05)
    return response


@pytest.mark.parametrize("script", [drip_headers, drip_body])
async def test_F27_a_drip_does_not_push_the_deadline_back(script: Script) -> None:
    async with mind(script) as it:
        started = time.monotonic()
        with pytest.raises(APITimeoutError):
            await it.ask(conn_options=APIConnectOptions(max_retry=0, timeout=0.5))
        assert time.monotonic() - started < 1.2
        assert it.faults == {"timed_out": 1}


async def test_F27_a_slow_answer_ends_at_the_total_deadline() -> None:
    slow = answer(*[text("word ")] * 50, gap_s=0.1)
    async with mind(slow, timeouts=aigateway.LLMTimeouts(total_s=0.6)) as it:
        with pytest.raises(APITimeoutError) as failure:
            await it.ask()
        assert not failure.value.retryable  # it has been speaking
        assert it.said.startswith("word ")
        assert it.faults == {"truncated": 1}


@pytest.mark.parametrize("given", [True, False])
async def test_a_call_overrides_the_constructor_even_with_false(given: bool) -> None:
    seen: list[dict[str, Any]] = []

    async def script(request: web.Request) -> web.StreamResponse:
        seen.append(await request.json())
        return await answer(text("Hi."))(request)

    async with mind(script, parallel_tool_calls=not given) as it:
        ctx = llm.ChatContext.empty()
        ctx.add_message(role="user", content="Hello.")
        stream = it.engine.chat(chat_ctx=ctx, tools=[lookup_order], parallel_tool_calls=given)
        async with stream:
            async for _ in stream:
                pass
    assert seen[0]["parallel_tool_calls"] is given


async def test_a_steady_answer_may_last_longer_than_the_wait_for_a_chunk() -> None:
    async with mind(answer(*[text("word ")] * 8, gap_s=0.2)) as it:
        await it.ask(conn_options=APIConnectOptions(max_retry=0, timeout=0.8))
        assert it.said == "word " * 8
