"""One call at plugin level: a microphone, the three plugins over real sockets, and the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import numpy as np
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, function_tool, llm, stt
from livekit.agents.utils import aio
from livekit.plugins import aigateway
from livekit.plugins.gatewaykit.faults import Fault

from agent.tools.orders import order_the_usual
from agent.tools.store import Store

WORDS = "please order the usual for me"
WORD_MS = 120
CHAR_MS = 60
"""What the simulated voice takes for a character: the pace of real ones."""

_RATE = 16_000
_FRAME_MS = 20
_LEVEL = 8_000
_PAUSE_S = 0.4
_HEARD_WITHIN_S = 20.0
_TRIES = 12
"""Times that the caller asks again after a failure or an interruption of its own."""
_INTERRUPTED = 0.3
"""Share of the replies that the caller cuts off."""
_EXTRA_SOUND_S = 0.4
"""What a reply that went on over another socket may say twice: a word."""
_EMAIL = "peter@example.com"
_CONNECT = APIConnectOptions(max_retry=3, retry_interval=0.3, timeout=3.0)


@dataclass(kw_only=True)
class Outcome:
    """What became of a call.

    Attributes:
        orders: Orders that the caller gave and was told of.
        heard: What the recogniser made of each.
        told_twice: Replies with more sound than their text has.
        asked_again: Times that the caller had to ask again.
        faults: Faults that the plugins met.
        error: Why it was not held to its end; empty if it was.
    """

    orders: int = 0
    heard: list[str] = field(default_factory=list)
    told_twice: int = 0
    asked_again: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    error: str = ""

    @property
    def lost(self) -> int:
        """Orders that were not understood word by word, once each."""
        wrong = sum(text != WORDS for text in self.heard)
        return wrong + abs(len(self.heard) - self.orders)


class PluginCall:
    """A caller who orders the same thing again and again.

    Args:
        url: The gateway's.
        call_id: Under which the ledger keeps its effects.
        store: What the tool acts on.
        rng: When the caller interrupts.
    """

    def __init__(self, *, url: str, call_id: str, store: Store, rng: random.Random) -> None:
        self.outcome = Outcome()
        self._url = url
        self._call_id = call_id
        self._store = store
        self._rng = rng
        self._finals: asyncio.Queue[str] = asyncio.Queue()
        self._microphone = bytearray()

    async def hold(self, *, orders: int) -> Outcome:
        """Order, hear that it is done, order again."""
        try:
            async with self._plugins() as (ears, mind, voice):
                async with self._listening(ears):
                    for _ in range(orders):
                        self._microphone += _speech()
                        text = await asyncio.wait_for(self._finals.get(), _HEARD_WITHIN_S)
                        self.outcome.heard.append(text)
                        await self._answer(text, mind, voice)
                        self.outcome.orders += 1
                    await asyncio.sleep(_PAUSE_S)  # a final that comes twice comes now
                while not self._finals.empty():
                    self.outcome.heard.append(self._finals.get_nowait())
        except* (APIError, TimeoutError) as e:
            first = e.exceptions[0]
            self.outcome.error = f"{self._call_id}: {type(first).__name__} {first}"
        return self.outcome

    @contextlib.asynccontextmanager
    async def _plugins(self) -> AsyncIterator[tuple[aigateway.STT, aigateway.LLM, aigateway.TTS]]:
        async with aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as closing:
            ears = aigateway.STT(
                model="sim/stt",
                base_url=self._url,
                api_key="soak",
                timeouts=aigateway.STTTimeouts(silence_watchdog_s=2.0, final_s=1.0),
                http_session=http,
            )
            mind = aigateway.LLM(model="local/brain", base_url=self._url, api_key="soak")
            voice = aigateway.TTS(
                model="sim/tts",
                base_url=self._url,
                api_key="soak",
                http_session=http,
            )
            for plugin in (ears, mind, voice):
                plugin.faults.subscribe(self._note_fault)
                closing.push_async_callback(plugin.aclose)
            voice.prewarm()
            yield ears, mind, voice

    def _note_fault(self, fault: Fault) -> None:
        self.outcome.faults[f"{fault.stage} {fault.kind.value}"] += 1

    # -- ears ------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _listening(self, ears: aigateway.STT) -> AsyncIterator[None]:
        """Let the recogniser hear the microphone; its failure ends what goes on meanwhile."""
        async with ears.stream(conn_options=_CONNECT) as stream, asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(self._talk(stream))
            reading = tasks.create_task(self._read(stream))
            yield
            await aio.cancel_and_wait(talking)
            stream.end_input()
            await reading

    async def _talk(self, stream: stt.RecognizeStream) -> None:
        """Push what the microphone takes up, in real time."""
        size = _RATE * _FRAME_MS // 1000 * 2
        due = asyncio.get_running_loop().time()
        while True:
            data = bytes(self._microphone[:size]).ljust(size, b"\0")
            del self._microphone[:size]
            try:
                stream.push_frame(rtc.AudioFrame(data, _RATE, 1, size // 2))
            except RuntimeError:
                return  # the stream has failed, and its reader says why
            due += _FRAME_MS / 1000
            await asyncio.sleep(due - asyncio.get_running_loop().time())

    async def _read(self, stream: stt.RecognizeStream) -> None:
        async for event in stream:
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                self._finals.put_nowait(event.alternatives[0].text)

    # -- answer ----------------------------------------------------------------------------------

    async def _answer(self, text: str, mind: aigateway.LLM, voice: aigateway.TTS) -> None:
        """Answer until the caller has heard an answer out, as an agent does."""
        for _ in range(_TRIES):
            cut_s = self._rng.uniform(0.05, 2.0) if self._rng.random() < _INTERRUPTED else None
            try:
                async with asyncio.timeout(cut_s):
                    await self._say(await self._think(text, mind), voice)
                await self._store.mark_reported(self._call_id)
                return
            except TimeoutError:
                if cut_s is None:
                    raise
            except APIError:
                pass
            self.outcome.asked_again += 1
        raise APIError("no answer was heard out")

    async def _think(self, text: str, mind: aigateway.LLM) -> str:
        ctx = llm.ChatContext.empty()
        ctx.add_message(role="user", content=text)
        said, calls = await _ask(mind, ctx)
        if not calls:
            return said
        await order_the_usual(self._store, call=self._call_id, email=_EMAIL)
        for call in calls:
            ctx.items.append(
                llm.FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments)
            )
            ctx.items.append(
                llm.FunctionCallOutput(
                    call_id=call.call_id, output="Done, I have ordered your usual.", is_error=False
                )
            )
        return (await _ask(mind, ctx))[0]

    async def _say(self, text: str, voice: aigateway.TTS) -> None:
        async with voice.stream(conn_options=_CONNECT) as stream:
            stream.push_text(text)
            stream.end_input()
            sound_s = sum([event.frame.duration async for event in stream])
        if sound_s > len(text) * CHAR_MS / 1000 + _EXTRA_SOUND_S:
            self.outcome.told_twice += 1


@function_tool(name="order_the_usual")
async def _order_the_usual() -> None:
    """Order what this caller usually orders."""  # its schema is used, it is never called


async def _ask(mind: aigateway.LLM, ctx: llm.ChatContext) -> tuple[str, list[llm.FunctionToolCall]]:
    said, calls = "", []
    async with mind.chat(chat_ctx=ctx, tools=[_order_the_usual], conn_options=_CONNECT) as stream:
        async for chunk in stream:
            if chunk.delta is not None:
                said += chunk.delta.content or ""
                calls += chunk.delta.tool_calls
    return said, calls


def _speech() -> bytes:
    """Sound as long as the words."""
    wave = np.full(len(WORDS.split()) * WORD_MS * _RATE // 1000, _LEVEL, dtype="<i2")
    wave[1::2] = -_LEVEL
    return wave.tobytes()
