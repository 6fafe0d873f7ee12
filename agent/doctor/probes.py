"""One real request to each stage, through the plugin that a call would use: what happened when.

Nothing is judged here. Every request is asked once: a doctor wants to see a fault, not to heal it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, function_tool, llm, stt, tts

from ..speech.phrases import recorded_apology

_ONCE = APIConnectOptions(max_retry=0, timeout=10.0)
PROBE_TIMEOUT_S = 25.0
"""One probe; the longest is some four seconds of speech and what a slow gateway makes of it."""

QUESTION = "Please tell me in three short sentences what a telephone is."
TOOL_QUESTION = "What is the status of my order? My e-mail address is peter@example.com."
SAMPLE = "Please say this as you would say it to a good friend on the telephone."
_MOST = 0.75
_TAIL_S = 2.0
"""Silence after the speech, in which an utterance's end is found."""


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What speech to text made of a recorded sentence.

    Attributes:
        interims: Interims that came while the sentence was still being said.
        words: Words of all finals together.
        final_ms: From the end of the sentence to its final; None if none came.
    """

    interims: int
    words: int
    final_ms: float | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A model's answer.

    Attributes:
        first_ms: From the request to the first words or tool call; None if there were none.
        last_ms: From the request to the last.
        pieces: Number of pieces with words.
        usage: Whether tokens were counted.
        tools: Names of the tools that were called.
    """

    first_ms: float | None
    last_ms: float
    pieces: int
    usage: bool
    tools: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Speech:
    """What a voice made of `SAMPLE`.

    Attributes:
        first_ms: From the text to the first audio; None if there was none.
        most_ms: From the text to most of the audio. Not all: a plugin keeps the last frame back
            until it is certain that it is the last.
        audio_s: Length of the audio.
    """

    first_ms: float | None
    most_ms: float
    audio_s: float


async def hear(engine: stt.STT[Any]) -> Hearing:
    """Say a recorded sentence to it, at the pace of speech.

    Raises:
        APIError: The plugin's own error.
        TimeoutError: It took longer than `PROBE_TIMEOUT_S`.
    """
    finals: list[tuple[float, str]] = []
    interims: list[float] = []
    async with asyncio.timeout(PROBE_TIMEOUT_S), engine.stream(conn_options=_ONCE) as stream:
        saying = asyncio.create_task(_say(stream), name="doctor says something")
        try:
            async for event in stream:
                if event.type is stt.SpeechEventType.INTERIM_TRANSCRIPT:
                    interims.append(time.monotonic())
                elif event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                    finals.append((time.monotonic(), event.alternatives[0].text))
            said_at = await saying
        finally:
            saying.cancel()
            await asyncio.wait([saying])
    return Hearing(
        interims=sum(at < said_at for at in interims),
        words=sum(len(text.split()) for _, text in finals),
        final_ms=(finals[-1][0] - said_at) * 1000 if finals else None,
    )


async def _say(stream: stt.RecognizeStream) -> float:
    """Say it, then be silent; the monotonic time of the last word's end."""
    frames = recorded_apology()
    due = time.monotonic()
    for frame in frames:
        stream.push_frame(frame)
        due += frame.duration
        await asyncio.sleep(due - time.monotonic())
    said_at = time.monotonic()
    quiet = rtc.AudioFrame.create(frames[0].sample_rate, 1, frames[0].samples_per_channel)
    for _ in range(int(_TAIL_S / quiet.duration)):
        stream.push_frame(quiet)
        due += quiet.duration
        await asyncio.sleep(due - time.monotonic())
    stream.end_input()
    return said_at


@function_tool
async def lookup_order(email: str) -> None:
    """Find a customer's last order: what it is, where it is and when it arrives.

    Args:
        email: The customer's e-mail address.
    """


async def answer(engine: llm.LLM[Any], question: str) -> Answer:
    """Ask it one question, with a tool at hand.

    Raises:
        APIError: The plugin's own error.
        TimeoutError: It took longer than `PROBE_TIMEOUT_S`.
    """
    chat = llm.ChatContext.empty()
    chat.add_message(role="user", content=question)
    asked = time.monotonic()
    heard: list[float] = []
    called: list[str] = []
    usage = False
    async with (
        asyncio.timeout(PROBE_TIMEOUT_S),
        engine.chat(chat_ctx=chat, tools=[lookup_order], conn_options=_ONCE) as stream,
    ):
        async for chunk in stream:
            usage = usage or chunk.usage is not None
            if chunk.has_response() and chunk.delta:
                heard.append(time.monotonic())
                called += [call.name for call in chunk.delta.tool_calls]
    return Answer(
        first_ms=(heard[0] - asked) * 1000 if heard else None,
        last_ms=((heard[-1] if heard else time.monotonic()) - asked) * 1000,
        pieces=len(heard),
        usage=usage,
        tools=tuple(called),
    )


async def speak(engine: tts.TTS[Any]) -> Speech:
    """Let it say `SAMPLE`.

    Raises:
        APIError: The plugin's own error.
        TimeoutError: It took longer than `PROBE_TIMEOUT_S`.
    """
    asked = time.monotonic()
    async with asyncio.timeout(PROBE_TIMEOUT_S), aclosing(_audio(engine)) as audio:
        heard = [((time.monotonic() - asked) * 1000, seconds) async for seconds in audio]
    audio_s = sum(duration_s for _, duration_s in heard)
    so_far = accumulate(duration_s for _, duration_s in heard)
    most = (at for (at, _), sum_s in zip(heard, so_far, strict=True) if sum_s >= _MOST * audio_s)
    return Speech(
        first_ms=heard[0][0] if heard else None,
        most_ms=next(most, 0.0),
        audio_s=audio_s,
    )


async def _audio(engine: tts.TTS[Any]) -> AsyncGenerator[float, None]:
    """Lengths of the frames of `SAMPLE`, in seconds, as they come."""
    if not engine.capabilities.streaming:
        async with engine.synthesize(SAMPLE, conn_options=_ONCE) as whole:
            async for piece in whole:
                yield piece.frame.duration
        return
    async with engine.stream(conn_options=_ONCE) as stream:
        stream.push_text(SAMPLE)
        stream.end_input()
        async for piece in stream:
            yield piece.frame.duration
