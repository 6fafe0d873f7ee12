"""Routes of chains with plugins that do what a test says, on whichever clock the loop has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from livekit.agents import APIConnectOptions, llm, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.plugins.gatewaykit.script import letters_of

from agent.chain.health import HealthBoard, LocalBoard
from agent.chain.route import BreakerLimits, ChainRoute, Hold, P, Stage
from agent.chain.settings import ChainSettings

WAITS = ChainSettings()
Step = float | str | Exception | type[Exception] | llm.FunctionToolCall
"""Of an answer: seconds to wait, words to say, a tool to call, an error to fail with."""


def a_route(
    stage: Stage, name: str, plugin: P, *, board: HealthBoard | None = None, failures: int = 5
) -> ChainRoute[P]:
    """A route on the running loop's clock."""
    clock = asyncio.get_running_loop().time
    return ChainRoute(
        stage=stage,
        name=name,
        plugin=plugin,
        board=board or LocalBoard(clock=clock),
        limits=BreakerLimits(failures=failures, cooldown_s=5.0),
        hold=Hold(first_s=WAITS.probe_after_s, longest_s=WAITS.probe_longest_s),
        clock=clock,
    )


class FakeLLM(llm.LLM[Any]):
    """Answers each request with the next script; the last one is used again and again."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        super().__init__()
        self.scripts = list(scripts)
        self.requests: list[llm.ChatContext] = []
        self.cancelled = 0

    @property
    def conversations(self) -> list[llm.ChatContext]:
        """The requests that are no probes."""
        return [r for r in self.requests if r.messages()[-1].text_content != "Say OK."]

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        self.requests.append(chat_ctx)
        script = self.scripts[0] if len(self.scripts) == 1 else self.scripts.pop(0)
        return _FakeAnswer(
            self, script, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options
        )


class _FakeAnswer(llm.LLMStream):
    def __init__(self, model: FakeLLM, script: Sequence[Step], **rest: Any) -> None:
        self._model, self._script = model, script
        super().__init__(model, **rest)

    async def _run(self) -> None:
        try:
            for step in self._script:
                await self._do(step)
        except asyncio.CancelledError:
            self._model.cancelled += 1
            raise

    async def _do(self, step: Step) -> None:
        await asyncio.sleep(0)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, type):
            raise step()
        if isinstance(step, float):
            await asyncio.sleep(step)
            return
        delta = llm.ChoiceDelta(role="assistant")
        if isinstance(step, str):
            delta.content = step
        else:
            delta.tool_calls = [step]
        self._event_ch.send_nowait(llm.ChatChunk(id="fake", delta=delta))


def a_tool_call(name: str = "book") -> llm.FunctionToolCall:
    """A whole tool call."""
    return llm.FunctionToolCall(name=name, arguments="{}", call_id=f"call_{name}")


class FakeTTS(tts.TTS[Any]):
    """Says its text at `s_per_letter`, in frames of 100 ms; `dies_after_s` of audio it fails."""

    def __init__(
        self,
        *,
        rate: int = 24_000,
        ms_per_letter: float = 65.0,
        fails: Callable[[], tuple[float, Exception | None] | None] = lambda: None,
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True), sample_rate=rate, num_channels=1
        )
        self.ms_per_letter = ms_per_letter
        self.fails = fails
        self.said: list[str] = []
        """The text of each stream, as far as it was given."""

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        return _FakeSpeech(tts=self, conn_options=conn_options)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return self._synthesize_with_stream(text, conn_options=conn_options)


class _FakeSpeech(tts.SynthesizeStream):
    _tts: FakeTTS

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        voice = self._tts
        output_emitter.initialize(
            request_id="fake",
            sample_rate=voice.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=100,
            stream=True,
        )
        output_emitter.start_segment(segment_id="fake")
        plan = voice.fails()
        number = len(voice.said)
        voice.said.append("")
        async for item in self._input_ch:
            if isinstance(item, str):
                voice.said[number] += item
        self._mark_started()
        left_s = letters_of(voice.said[number]) * voice.ms_per_letter / 1000
        dies_s, error = plan or (left_s, None)
        frames = round(min(left_s, dies_s) * 10)
        loud = b"\x00\x10" * (voice.sample_rate // 10)
        for _ in range(frames):
            output_emitter.push(loud)
            await asyncio.sleep(0.05)
        output_emitter.flush()
        await asyncio.sleep(0.05)
        if plan and error is None:
            await asyncio.Event().wait()  # silent for ever
        if error is not None:
            raise error
        output_emitter.end_segment()
