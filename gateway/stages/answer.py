"""An answer to what was said: thought, and spoken sentence by sentence while it is thought."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TypeAlias

from gateway.engines.base import ChatEngine, TtsSession
from gateway.errors import EngineUnavailable
from gateway.speech.pcm import SampleAligner
from gateway.stages.context import Context
from gateway.wire.gateflow import PipelineOptions
from gateway.wire.openai_chat import ChatMessage, ChatRequest, TextDelta
from gateway.wire.sentences import Sentences

_HISTORY_MESSAGES = 40
"""Messages that are remembered on a socket; older ones are forgotten."""


@dataclass(frozen=True)
class Token:
    """Some more of the answer's text."""

    text: str


@dataclass(frozen=True)
class TextEnd:
    """The answer's text is complete."""


@dataclass(frozen=True)
class Sentence:
    """The next sentence is about to be spoken."""

    text: str


@dataclass(frozen=True)
class Audio:
    """Some audio of the answer, s16le mono 24 kHz."""

    pcm: bytes


AnswerEvent: TypeAlias = Token | TextEnd | Sentence | Audio


class Conversation:
    """A language model and a voice that answer one speaker.

    Args:
        mind: the language model.
        voice: speaks.
        options: how to answer; its context is the system prompt.
        max_text_chars: longest sentence.
    """

    def __init__(
        self, mind: ChatEngine, voice: TtsSession, options: PipelineOptions, *, max_text_chars: int
    ) -> None:
        self._mind = mind
        self._voice = voice
        self._options = options
        self._max_text_chars = max_text_chars
        self._history: list[ChatMessage] = []

    @classmethod
    async def open(cls, context: Context, options: PipelineOptions) -> Conversation:
        """Find the engines.

        Raises:
            UnknownModel: if one of the models does not exist.
            EngineUnavailable: if one cannot be loaded, or is behind another server.
        """
        names = context.config.template
        mind = await context.engines.chat(options.llm or names["llm"])
        if mind is None:
            raise EngineUnavailable("pipelines think with the models of this gateway only")
        voice = await context.engines.tts(options.tts or names["tts"])
        session = await voice.connect(options.voice)
        limit = context.config.limits.max_tts_text_chars
        return cls(mind, session, options, max_text_chars=limit)

    async def answer(self, heard: str) -> AsyncGenerator[AnswerEvent]:
        """Answer what was heard; what has been told of it is remembered, however it ends."""
        self._history.append(ChatMessage(role="user", text=heard))
        del self._history[:-_HISTORY_MESSAGES]
        events: asyncio.Queue[AnswerEvent | None] = asyncio.Queue()
        work = asyncio.create_task(self._work(events), name="answer")
        told: list[str] = []
        try:
            while (event := await events.get()) is not None:
                if isinstance(event, Sentence):
                    told.append(event.text)
                yield event
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            if told:
                self._history.append(ChatMessage(role="assistant", text=" ".join(told)))

    async def _work(self, events: asyncio.Queue[AnswerEvent | None]) -> None:
        sentences: asyncio.Queue[str | None] = asyncio.Queue()
        speaking = asyncio.create_task(self._speak(sentences, events), name="answer-speak")
        try:
            await self._think(sentences, events)
            sentences.put_nowait(None)
            await speaking
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            events.put_nowait(None)

    async def _think(
        self, sentences: asyncio.Queue[str | None], events: asyncio.Queue[AnswerEvent | None]
    ) -> None:
        waiting = Sentences(max_chars=self._max_text_chars)
        async for delta in self._mind.reply(self._request()):
            if isinstance(delta, TextDelta):
                events.put_nowait(Token(delta.text))
                for sentence in waiting.push(delta.text):
                    sentences.put_nowait(sentence)
        for sentence in waiting.flush():
            sentences.put_nowait(sentence)
        events.put_nowait(TextEnd())

    def _request(self) -> ChatRequest:
        prompt = self._options.context
        system = [ChatMessage(role="system", text=prompt)] if prompt else []
        return ChatRequest(
            model=self._options.llm,
            messages=(*system, *self._history),
            tools=frozenset(),  # the wire form has none
            stream=True,
            include_usage=False,
            max_tokens=self._options.max_tokens,
            body={},
        )

    async def _speak(
        self, sentences: asyncio.Queue[str | None], events: asyncio.Queue[AnswerEvent | None]
    ) -> None:
        loop = asyncio.get_running_loop()
        aligner = SampleAligner()
        while (sentence := await sentences.get()) is not None:
            events.put_nowait(Sentence(sentence))
            async for piece in self._voice.speak(sentence, received_at_s=loop.time()):
                events.put_nowait(Audio(aligner.push(piece)))
