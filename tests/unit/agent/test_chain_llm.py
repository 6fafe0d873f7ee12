"""A chain of language models on virtual time: who answers, and that nothing is said twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError, llm

from agent.chain.health import LocalBoard
from agent.chain.llm import ChainLLM
from agent.chain.race import Attempt
from agent.chain.route import ChainRoute, NoRouteError
from agent.guard.breaker import BreakerState
from tests import virtual_time

from .chain_fakes import WAITS, FakeLLM, Step, a_route, a_tool_call


class Down(APIConnectionError):
    """Each failure is one of its own: the framework marks those that it will not retry."""

    def __init__(self) -> None:
        super().__init__("refused")


DOWN = Down
OPTIONS = APIConnectOptions(max_retry=3, retry_interval=0.5, timeout=5.0)


def a_model(name: str, model: llm.LLM[Any], **rest: Any) -> ChainRoute[llm.LLM[Any]]:
    return a_route("llm", name, model, **rest)


def a_chain(*models: FakeLLM, **options: Any) -> ChainLLM:
    routes = [a_model(f"p:{n}", model) for n, model in enumerate(models)]
    return ChainLLM(routes, waits=WAITS, **options)


async def ask(chain: ChainLLM, words: list[str] | None = None) -> tuple[str, list[str]]:
    """The words of an answer, also one by one into `words`, and the tools that it calls."""
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Where is my lamp?")
    words = [] if words is None else words
    tools: list[str] = []
    async with chain.chat(chat_ctx=context, conn_options=OPTIONS) as stream:
        async for chunk in stream:
            if chunk.delta:
                words += [chunk.delta.content] if chunk.delta.content else []
                tools += [call.name for call in chunk.delta.tool_calls]
    return "".join(words), tools


def answer(*scripts: Sequence[Step]) -> tuple[str, list[str], list[FakeLLM], list[str]]:
    """One request to a chain with a model for each script; also who served."""

    async def main() -> tuple[str, list[str], list[FakeLLM], list[str]]:
        models = [FakeLLM(script) for script in scripts]
        chain = a_chain(*models)
        served: list[str] = []
        chain.members.on_served(lambda _, route: served.append(route))
        try:
            words, tools = await ask(chain)
        finally:
            await chain.aclose()
        return words, tools, models, served

    return virtual_time.run(main())


def test_the_first_route_answers_alone() -> None:
    words, _, models, served = answer(["It has ", "shipped."], ["no"])
    assert (words, served) == ("It has shipped.", ["p:0"])
    assert not models[1].requests


@pytest.mark.parametrize(
    "first", [[DOWN], [APIStatusError("no", status_code=401)], [], [ValueError("a bug")]]
)
def test_the_next_route_answers_where_the_first_one_does_not(first: list[Step]) -> None:
    words, _, _, served = answer(first, ["It has shipped."])
    assert (words, served) == ("It has shipped.", ["p:1"])


def test_an_answer_that_breaks_off_is_gone_on_with_and_nothing_is_said_twice() -> None:
    words, _, models, served = answer(
        ["It left the ", "ware", DOWN], ["It left the warehouse ", "this morning."]
    )
    assert words == "It left the warehouse this morning."
    assert served == ["p:0", "p:1"]
    shown = models[1].requests[0].messages()
    assert shown[1].role == "assistant"
    assert shown[1].text_content == "It left the ware"


def test_a_third_route_goes_on_where_the_second_one_broke_off() -> None:
    words, *_ = answer(["It left ", DOWN], ["It left the house ", DOWN], ["the house today."])
    assert words == "It left the house today."


def test_nothing_is_missing_where_only_the_end_was_lost() -> None:
    assert answer(["It has shipped.", DOWN], [])[0] == "It has shipped."
    assert answer(["It has shipped.", DOWN], ["It has shipped."])[0] == "It has shipped."


def test_a_tool_that_was_called_is_not_called_again() -> None:
    words, tools, models, _ = answer(["One moment.", a_tool_call(), DOWN], [a_tool_call()])
    assert (words, tools) == ("One moment.", ["book"])
    assert not models[1].requests


def test_a_tool_and_no_word_is_an_answer() -> None:
    async def main() -> None:
        model = FakeLLM([a_tool_call()])
        chain = a_chain(model, FakeLLM(["no"]))
        for _ in range(10):
            assert await ask(chain) == ("", ["book"])
        assert chain.members.routes[0].available
        await chain.aclose()

    virtual_time.run(main())


def test_all_routes_are_asked_twice_and_then_the_error_is_told() -> None:
    async def main() -> None:
        models = [FakeLLM([DOWN]), FakeLLM([DOWN])]
        chain = a_chain(*models)
        with pytest.raises(APIError):
            await ask(chain)
        assert [len(m.conversations) for m in models] == [2, 2]
        await chain.aclose()

    virtual_time.run(main())


def test_what_was_said_is_not_begun_again_when_all_routes_fail() -> None:
    async def main() -> None:
        models = [FakeLLM(["It ", DOWN]), FakeLLM([DOWN])]
        chain = a_chain(*models)
        heard: list[str] = []
        with pytest.raises(APIError):
            await ask(chain, heard)
        assert heard == ["It "]
        assert [len(m.conversations) for m in models] == [1, 1]
        await chain.aclose()

    virtual_time.run(main())


def test_the_first_route_is_asked_again_once_a_probe_finds_it_well() -> None:
    async def main() -> list[str]:
        flaky = FakeLLM([DOWN], [DOWN], ["OK."], ["I am back."])
        chain = a_chain(flaky, FakeLLM(["I am here."]))
        said = [(await ask(chain))[0]]
        await asyncio.sleep(WAITS.probe_after_s + 0.1)  # the first probe fails too
        said.append((await ask(chain))[0])
        await asyncio.sleep(2 * WAITS.probe_after_s)
        said.append((await ask(chain))[0])
        await chain.aclose()
        return said

    assert virtual_time.run(main()) == ["I am here.", "I am here.", "I am back."]


def test_a_route_that_heals_only_for_probes_is_tried_more_and_more_seldom() -> None:
    async def main() -> int:
        class Flapping(FakeLLM):
            def chat(self, *, chat_ctx: llm.ChatContext, **rest: Any) -> llm.LLMStream:
                probe = chat_ctx.messages()[-1].text_content == "Say OK."
                self.scripts = [["OK."] if probe else ["It ", DOWN]]
                return super().chat(chat_ctx=chat_ctx, **rest)

        flapping = Flapping([])
        chain = a_chain(flapping, FakeLLM([" is here."]))
        for _ in range(60):
            assert (await ask(chain))[0].split() in (["It", "is", "here."], ["is", "here."])
            await asyncio.sleep(1.0)
        await chain.aclose()
        return len(flapping.conversations)

    assert virtual_time.run(main()) <= 6


def test_a_cancelled_request_says_nothing_about_its_route() -> None:
    async def main() -> None:
        model = FakeLLM([60.0, "late"])
        chain = a_chain(model, FakeLLM(["no"]))
        asking = asyncio.create_task(ask(chain))
        await asyncio.sleep(1.0)
        asking.cancel()
        await asyncio.wait([asking])
        assert model.cancelled == 1
        assert chain.members.routes[0].available
        await chain.aclose()

    virtual_time.run(main())


def test_a_barge_in_during_a_switch_leaves_nothing_behind() -> None:
    async def main() -> None:
        models = [FakeLLM(["It ", DOWN]), FakeLLM([60.0, "late"])]
        chain = a_chain(*models)
        asking = asyncio.create_task(ask(chain))
        await asyncio.sleep(1.0)
        assert models[1].requests
        asking.cancel()
        await asyncio.wait([asking])
        assert models[1].cancelled == 1
        await chain.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    virtual_time.run(main())


def test_a_route_alone_is_asked_directly_and_left_alone_after_failures() -> None:
    async def main() -> None:
        model = FakeLLM([DOWN])
        board = LocalBoard(clock=asyncio.get_running_loop().time)
        route = a_model("p:0", model, board=board)
        chain = ChainLLM([route], waits=WAITS)
        errors: list[llm.LLMError] = []
        chain.on("error", errors.append)
        for _ in range(2):
            with pytest.raises(APIError):
                await ask(chain)
        assert board.is_down("llm p:0")  # its breaker is open
        asked = len(model.requests)
        with pytest.raises(NoRouteError):
            await ask(chain)
        assert len(model.requests) == asked
        assert len(errors) == 2 * (OPTIONS.max_retry + 1)
        await asyncio.sleep(5.1)
        model.scripts = [["It has shipped."]]
        assert (await ask(chain))[0] == "It has shipped."
        assert route.breaker.state is BreakerState.CLOSED
        assert not board.is_down("llm p:0")
        await chain.aclose()

    virtual_time.run(main())


def test_a_starter_may_let_routes_race_and_one_answer_is_taken() -> None:
    async def race(attempts: Sequence[Attempt]) -> Attempt:
        first, second = attempts
        slow = asyncio.create_task(first.begin())
        await asyncio.sleep(1.0)
        await second.begin()
        slow.cancel()
        await asyncio.wait([slow])
        return second

    async def main() -> None:
        models = [FakeLLM([5.0, "slow"]), FakeLLM(["fast"])]
        chain = a_chain(*models, starter=race)
        assert await ask(chain) == ("fast", [])
        assert models[0].cancelled == 1
        assert chain.members.routes[0].available  # it lost a race, it did not fail
        await chain.aclose()

    virtual_time.run(main())
