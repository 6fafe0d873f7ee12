"""Chat over real HTTP: local engines, and the server behind `--llm-url`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.config import BrainConfig, SimConfig, UpstreamConfig
from gateway.engines.brain import replies
from gateway.engines.sim.script import SimScript
from tests.wire.gateway_harness import eventually, serving

FAST = BrainConfig(first_token_ms=0, words_per_s=10_000)
TOOLS = [{"type": "function", "function": {"name": "lookup_order", "parameters": {}}}]


def _body(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "model": "local/brain",
        "messages": [{"role": "user", "content": text}],
        "stream": True,
    } | fields


async def _events(answer: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    """The events of a whole stream, which must end with [DONE]."""
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "text/event-stream"
    blocks = (await answer.text()).split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-2]]


def _text(events: list[dict[str, Any]]) -> str:
    return "".join(
        choice["delta"].get("content") or "" for event in events for choice in event["choices"]
    )


async def test_streams_text() -> None:
    async with serving(brain=FAST) as (gateway, http):
        async with http.post(gateway.url + "/chat/completions", json=_body("joke")) as answer:
            events = await _events(answer)
        assert _text(events) == replies.JOKE
        assert len(events) > 5
        assert events[0]["choices"][0]["delta"]["role"] == "assistant"
        assert events[-1]["choices"][0]["finish_reason"] == "stop"
        assert all("usage" not in event for event in events)
        assert gateway.stats.snapshot()["llm"] == {
            "opened": 1,
            "open": 0,
            "closed_by_client": 0,
            "completed": 1,
            "errors": 0,
            "faults": 0,
        }


async def test_streams_a_tool_call_in_pieces() -> None:
    body = _body(
        "My email is anna at example dot com",
        tools=TOOLS,
        stream_options={"include_usage": True},
    )
    async with (
        serving(brain=FAST) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=body) as answer,
    ):
        events = await _events(answer)
    *deltas, finish, usage = events
    calls = [
        call for event in deltas for call in event["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert [call["function"].get("name") for call in calls].count("lookup_order") == 1
    assert len(calls) > 3
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert json.loads(arguments) == {"email": "anna@example.com"}
    assert finish["choices"][0]["finish_reason"] == "tool_calls"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] > 0


async def test_whole_answers() -> None:
    async with (
        serving(brain=FAST) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=_body("joke", stream=False)) as answer,
    ):
        body = await answer.json()
    assert body["choices"][0]["message"] == {"role": "assistant", "content": replies.JOKE}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] > 0


async def test_max_tokens() -> None:
    async with (
        serving(brain=FAST) as (gateway, http),
        http.post(
            gateway.url + "/chat/completions", json=_body("Tell me a story", max_tokens=20)
        ) as answer,
    ):
        events = await _events(answer)
    assert 15 <= len(_text(events)) / 4 <= 30
    assert events[-1]["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_answer(stream: bool) -> None:
    slow = BrainConfig(first_token_ms=0 if stream else 60_000, words_per_s=5)
    async with serving(brain=slow) as (gateway, http):
        asking = asyncio.create_task(
            http.post(gateway.url + "/chat/completions", json=_body("story", stream=stream))
        )
        await eventually(lambda: gateway.stats.snapshot()["llm"]["open"] == 1)
        if stream:
            (await asking).close()
        else:
            asking.cancel()
        await eventually(lambda: gateway.stats.snapshot()["llm"]["open"] == 0)
        assert gateway.stats.snapshot()["llm"]["closed_by_client"] == 1
        assert gateway.stats.snapshot()["llm"]["completed"] == 0


async def test_sim_keeps_its_times() -> None:
    sim = SimConfig(llm_first_token_ms=150, llm_tokens_per_s=50)
    async with serving(sim=sim) as (gateway, http):
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with http.post(
            gateway.url + "/chat/completions", json=_body("hi", model="sim/llm")
        ) as answer:
            times = [
                loop.time() - start
                async for line in answer.content
                if b'"content":"' in line and b'"content":""' not in line
            ]
    assert 0.15 <= times[0] < 0.25
    assert (times[-1] - times[0]) / (len(times) - 1) == pytest.approx(1 / 50, rel=0.2)


async def test_sim_answers_by_script(tmp_path: Any) -> None:
    path = tmp_path / "script.json"
    path.write_text(
        json.dumps(
            {
                "utterances": [
                    {"text": "Where is my lamp?", "reply": "It is on its way."},
                    {
                        "text": "Find it",
                        "reply": {"tool": "lookup_order", "arguments": {"email": "a@b.io"}},
                    },
                ],
                "reply": "Pardon?",
            }
        )
    )
    sim = SimConfig(script=path, llm_first_token_ms=0, llm_tokens_per_s=10_000)
    assert SimScript.load(sim).reply.text == "Pardon?"
    async with serving(sim=sim) as (gateway, http):
        url = gateway.url + "/chat/completions"

        async def ask(text: str, **fields: Any) -> list[dict[str, Any]]:
            async with http.post(url, json=_body(text, model="sim/llm", **fields)) as answer:
                return await _events(answer)

        assert _text(await ask("where is my lamp")) == "It is on its way."
        assert _text(await ask("What?")) == "Pardon?"
        assert _text(await ask("find it")) == "Pardon?"  # the tool is not offered
        events = await ask("find it", tools=TOOLS)
        assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


# -- the server behind --llm-url ------------------------------------------------------------------

UPSTREAM_KEY = "canary-upstream-77aa"


class Upstream:
    """An OpenAI-compatible server whose behaviour a test chooses."""

    def __init__(self) -> None:
        self.requests: list[tuple[str | None, dict[str, Any]]] = []
        self.left = asyncio.Event()
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.stream

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.headers.get("Authorization"), await request.json()))
        try:
            return await self.answer(request)
        except asyncio.CancelledError:
            self.left.set()
            raise

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"hello": 1}\n\n')
        await response.write(b"data: [DONE]\n\n")
        return response

    async def hang(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"hello": 1}\n\n')
        await asyncio.sleep(60)
        return response


@asynccontextmanager
async def _upstream() -> AsyncIterator[tuple[Upstream, str]]:
    upstream = Upstream()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", upstream.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield upstream, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def test_requests_are_sent_on_as_they_are() -> None:
    async with _upstream() as (upstream, url):
        config = UpstreamConfig(url=url, key=UPSTREAM_KEY, model="big-model")
        async with (
            serving(upstream=config, key="local-key") as (gateway, http),
            http.post(
                gateway.url + "/chat/completions",
                json=_body("hi", temperature=0.3),
                headers={"Authorization": "Bearer local-key"},
            ) as answer,
        ):
            assert answer.content_type == "text/event-stream"
            assert await answer.text() == 'data: {"hello": 1}\n\ndata: [DONE]\n\n'
        key, body = upstream.requests[0]
        assert key == f"Bearer {UPSTREAM_KEY}"
        assert body == _body("hi", temperature=0.3, model="big-model")


async def test_models_not_known_here_are_sent_on_and_sim_is_not() -> None:
    async with _upstream() as (upstream, url):
        config = UpstreamConfig(url=url)
        async with serving(upstream=config) as (gateway, http):
            for model in ("gpt-unknown", "sim/llm"):
                async with http.post(
                    gateway.url + "/chat/completions", json=_body("hi", model=model)
                ) as answer:
                    assert answer.status == 200
                    await answer.read()
        assert [body["model"] for _, body in upstream.requests] == ["gpt-unknown"]
        assert upstream.requests[0][0] is None


async def test_a_client_that_leaves_is_left_upstream_too() -> None:
    async with _upstream() as (upstream, url):
        upstream.answer = upstream.hang
        async with serving(upstream=UpstreamConfig(url=url)) as (gateway, http):
            answer = await http.post(gateway.url + "/chat/completions", json=_body("hi"))
            await answer.content.readline()
            answer.close()
            await asyncio.wait_for(upstream.left.wait(), 2)
            await eventually(lambda: gateway.stats.snapshot()["llm"]["closed_by_client"] == 1)


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (400, 400),
        (404, 404),
        (429, 429),
        (500, 500),
        (503, 503),
        (401, 502),
        (403, 502),
        (418, 502),
    ],
)
async def test_upstream_errors_keep_their_meaning(sent: int, received: int) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=sent, text=f"secret {UPSTREAM_KEY}", headers={"Retry-After": "7"}
        )

    async with _upstream() as (upstream, url):
        upstream.answer = fail
        config = UpstreamConfig(url=url, key=UPSTREAM_KEY)
        async with serving(upstream=config) as (gateway, http):
            async with http.post(gateway.url + "/chat/completions", json=_body("hi")) as answer:
                assert answer.status == received
                assert answer.headers.get("Retry-After") == ("7" if sent == received else None)
                assert UPSTREAM_KEY not in await answer.text()
            assert gateway.stats.snapshot()["llm"]["errors"] == 1


async def test_redirects_are_not_followed() -> None:
    async with _upstream() as (elsewhere, other_url), _upstream() as (upstream, url):

        async def redirect(request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(other_url + "/chat/completions")

        upstream.answer = redirect
        config = UpstreamConfig(url=url, key=UPSTREAM_KEY)
        async with (
            serving(upstream=config) as (gateway, http),
            http.post(gateway.url + "/chat/completions", json=_body("hi")) as answer,
        ):
            assert answer.status == 502
        assert elsewhere.requests == []


async def test_an_upstream_that_is_not_there() -> None:
    async with _upstream() as (_, url):
        pass
    config = UpstreamConfig(url=url.replace("http://", "http://user:canary-pass@"))
    assert "canary" not in repr(config)
    async with (
        serving(upstream=config) as (gateway, http),
        http.post(gateway.url + "/chat/completions", json=_body("hi")) as answer,
    ):
        assert answer.status == 502
        assert "canary" not in await answer.text()


async def test_an_upstream_that_never_answers() -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with _upstream() as (upstream, url):
        upstream.answer = never
        config = UpstreamConfig(url=url, read_timeout_s=0.1)
        async with (
            serving(upstream=config) as (gateway, http),
            http.post(gateway.url + "/chat/completions", json=_body("hi")) as answer,
        ):
            assert answer.status == 504


async def test_an_upstream_that_breaks_off() -> None:
    async with _upstream() as (upstream, url):
        upstream.answer = upstream.hang
        config = UpstreamConfig(url=url, read_timeout_s=0.1)
        async with serving(upstream=config) as (gateway, http):
            async with http.post(gateway.url + "/chat/completions", json=_body("hi")) as answer:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()
            await eventually(lambda: gateway.stats.snapshot()["llm"]["errors"] == 1)
