"""A chain of voices that are no gateways' on virtual time: what is left is said by the next."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import APIConnectionError, APIError, APIStatusError
from livekit.plugins.gatewaykit.script import letters_of, rest_of

from agent.chain.route import NoRouteError
from agent.chain.tts import ChainTTS
from agent.chain.tts_stream import Voice
from tests import virtual_time

from .chain_fakes import WAITS, FakeTTS, a_route

TEXT = "Your lamp has left the warehouse. It comes to your door on Monday. Anything else?"


def a_chain(*voices: FakeTTS) -> ChainTTS:
    plugins: list[Voice] = list(voices)
    routes = [a_route("tts", f"p:{n}", voice) for n, voice in enumerate(plugins)]
    return ChainTTS(routes, waits=WAITS)


async def say(chain: ChainTTS, *texts: str) -> float:
    """Seconds of audio."""
    async with chain.stream() as stream:
        for text in texts:
            stream.push_text(text)
        stream.end_input()
        return sum([event.frame.duration async for event in stream])


@pytest.mark.parametrize("error", [APIConnectionError(), None])
def test_the_next_voice_says_what_was_not_heard(error: Exception | None) -> None:
    async def main() -> None:
        dying = FakeTTS(fails=lambda: (3.0, error))
        other = FakeTTS()
        chain = a_chain(dying, other)
        loop = asyncio.get_running_loop()
        began = loop.time()
        heard_s = await say(chain, TEXT)
        assert [text.strip() for text in other.said] == ["door on Monday. Anything else?"]
        assert heard_s == pytest.approx(letters_of(TEXT) * 0.065, abs=0.4)
        assert loop.time() - began < 10
        await chain.aclose()

    virtual_time.run(main())


def test_a_voice_that_is_known_to_be_slow_has_said_less() -> None:
    async def main() -> None:
        plan: list[tuple[float, Exception | None]] = []
        slow = FakeTTS(ms_per_letter=130.0, fails=lambda: plan.pop() if plan else None)
        other = FakeTTS()
        chain = a_chain(slow, other)
        for _ in range(8):
            await say(chain, TEXT)
        plan.append((3.0, APIConnectionError()))
        await say(chain, TEXT)
        assert other.said[0].strip().startswith("It comes to your door")
        await chain.aclose()

    virtual_time.run(main())


def test_a_refused_key_is_no_matter_of_waiting() -> None:
    async def main() -> None:
        refused = FakeTTS(fails=lambda: (0.0, APIStatusError("no", status_code=401)))
        chain = a_chain(refused, FakeTTS())
        for _ in range(10):
            assert await say(chain, TEXT)
        assert len(refused.said) < 8  # probed, more and more seldom
        await chain.aclose()

    virtual_time.run(main())


def test_a_whole_text_is_never_handed_out_in_part() -> None:
    """What is kept as a phrase is whole, or an error."""

    async def main() -> None:
        chain = a_chain(
            FakeTTS(fails=lambda: (1.0, APIConnectionError())),
            FakeTTS(fails=lambda: (1.0, APIConnectionError())),
        )
        with pytest.raises(APIError):
            await chain.synthesize(TEXT).collect()
        await chain.aclose()
        chain = a_chain(FakeTTS(fails=lambda: (1.0, APIConnectionError())), FakeTTS())
        whole = await chain.synthesize(TEXT).collect()
        assert whole.duration == pytest.approx(letters_of(TEXT) * 0.065, abs=0.4)
        await chain.aclose()

    virtual_time.run(main())


def test_a_voice_alone_is_left_alone_after_failures() -> None:
    async def main() -> None:
        voice = FakeTTS(fails=lambda: (0.0, APIConnectionError()))
        chain = a_chain(voice)
        for _ in range(5):
            with pytest.raises(APIError):
                await say(chain, TEXT)
        with pytest.raises(NoRouteError):
            chain.stream()
        with pytest.raises(NoRouteError):
            chain.synthesize(TEXT)
        await chain.aclose()

    virtual_time.run(main())


def test_what_is_left_of_a_text() -> None:
    text = "It has left. It comes on Mon"
    assert rest_of(text, 0.0) == text
    assert rest_of(text, 13.0) == "It comes on Mon"
    assert rest_of(text, 1_000.0) == ""
    assert rest_of("It comes on ", 0.0) == "It comes on "
