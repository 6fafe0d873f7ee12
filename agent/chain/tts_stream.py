"""One text over the routes of a chain: what each of them has said of it, and what is left."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, APITimeoutError, tokenize, tts, utils
from livekit.agents.tts.fallback_adapter import FallbackSynthesizeStream, _record_fallback_served
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.agents.utils import aio
from livekit.plugins.gatewaykit.clauses import is_speakable
from livekit.plugins.gatewaykit.errors import NoAudioError
from livekit.plugins.gatewaykit.script import letters_of, rest_of
from livekit.plugins.gatewaykit.tts import TTS as GatewayTTS

from ..guard.deadline import done_by
from .members import as_api_error
from .route import ChainRoute, NoRouteError

if TYPE_CHECKING:
    from .tts import ChainTTS

Voice: TypeAlias = tts.TTS[Any]

_UNSURE_LETTERS = 5
"""How much of what seems to have been heard is said again: two voices that both say a word are
better than a word that neither says."""
_NOTHING_TO_SAY_MS = 20
"""Silence that stands for text without a letter or digit, for which no voice sends audio."""


class _Text:
    """The text of a stream as it comes in."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.ended = False
        self._changed = asyncio.Event()

    def add(self, piece: str) -> None:
        """Some more of it."""
        self.pieces.append(piece)
        self._changed.set()

    def end(self) -> None:
        """There is no more."""
        self.ended = True
        self._changed.set()

    async def more_than(self, count: int) -> bool:
        """Wait until there are more pieces than `count`; False: there never will be."""
        while len(self.pieces) <= count and not self.ended:
            self._changed.clear()
            await self._changed.wait()
        return len(self.pieces) > count


class ChainSynthesizeStream(FallbackSynthesizeStream):
    """Made by `ChainTTS.stream`."""

    _fallback_adapter: ChainTTS

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        chain = self._fallback_adapter
        output_emitter.initialize(
            request_id=utils.shortuuid("tts_"),
            sample_rate=chain.sample_rate,
            num_channels=chain.num_channels,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid("seg_"))
        text = _Text()
        reading = asyncio.create_task(self._read(text), name="chain text")
        try:
            await self._speak(text, output_emitter)
        finally:
            await aio.cancel_and_wait(reading)

    async def _read(self, text: _Text) -> None:
        async for item in self._input_ch:
            if isinstance(item, str):
                text.add(item)
        text.end()

    async def _speak(self, text: _Text, output: tts.AudioEmitter) -> None:
        """Let one route after the other say what is left, until nothing is."""
        members = self._fallback_adapter.members
        tried: list[ChainRoute[Voice]] = []
        failures: list[tuple[ChainRoute[Voice], APIError]] = []
        rest, position = "", 0
        while True:
            route = next((r for r in members.to_ask(but=tried) if r.begin()), None)
            if route is None:
                raise failures[-1][1] if failures else NoRouteError("tts")
            tried.append(route)
            attempt = _Attempt(self, route, text, rest=rest, position=position)
            try:
                await attempt.run(output, failures)
                return
            except APIError as e:
                failures.append((route, e))
                rest, position = attempt.left(), attempt.position
                if text.ended and position == len(text.pieces) and not is_speakable(rest):
                    return  # what was lost was the end, and everything had been heard

    def note_started(self, at: float) -> None:
        """Note when the first route was sent text, by the performance counter; 0: it was not."""
        self._started_time = self._started_time or at

    def note_serving(self, route: ChainRoute[Voice]) -> None:
        """Tell metrics, spans and listeners whose voice it is, as the framework's adapter does."""
        chain = self._fallback_adapter
        chain._active_instance = route.plugin
        chain.members.serves(route)
        index = chain.members.routes.index(route)
        _record_fallback_served(route.plugin, index, self._tts_request_span, self._caller_span)

    def options(self) -> APIConnectOptions:
        """How a route is asked: once."""
        wait_s = self._fallback_adapter.members.waits.connect_s
        return dataclasses.replace(self._conn_options, max_retry=0, timeout=wait_s)


class _Attempt:
    """One route that says what is left of a text.

    Args:
        stream: Whose text it is.
        route: Who speaks.
        text: All of it.
        rest: What was given to the route before this and not heard.
        position: The first piece that no route was given yet.
    """

    def __init__(
        self,
        stream: ChainSynthesizeStream,
        route: ChainRoute[Voice],
        text: _Text,
        *,
        rest: str,
        position: int,
    ) -> None:
        self.position = position
        self._chain = stream._fallback_adapter
        self._stream = stream
        self._route = route
        self._text = text
        self._rest = rest
        self._given = ""
        self._heard_s = 0.0
        self._plays_until = 0.0
        self._all_given_at: float | None = None
        self._nothing_to_say = False

    def left(self) -> str:
        """What of the text that the route was given was not heard."""
        if not self._heard_s:
            return self._given
        heard = self._chain.pace[self._route.name].letters_in(self._heard_s)
        return rest_of(self._given, heard - _UNSURE_LETTERS)

    async def run(
        self,
        output: tts.AudioEmitter,
        failures: list[tuple[ChainRoute[Voice], APIError]],
    ) -> None:
        """Speak to the end of the text.

        Args:
            output: Takes the audio.
            failures: Routes that failed before this one; told and emptied when it speaks.

        Raises:
            APIError: The route failed.
        """
        try:
            await self._run(output, failures)
            if not self._heard_s and not self._nothing_to_say:
                raise NoAudioError()
        except Exception as e:
            error = as_api_error(e)
            self._chain.members.failed(self._route, error)
            raise error from None
        except BaseException:
            self._route.abandoned()
            raise
        if self._heard_s:
            letters = letters_of(self._given)
            self._chain.pace[self._route.name].observe(letters=letters, audio_s=self._heard_s)
            self._route.served()
        else:
            self._route.abandoned()  # there was nothing to say

    async def _run(
        self,
        output: tts.AudioEmitter,
        failures: list[tuple[ChainRoute[Voice], APIError]],
    ) -> None:
        resampler = self._resampler()
        async with AsyncExitStack() as closing:
            voice = await self._open(closing)
            giving = asyncio.create_task(self._give(voice), name="chain voice")
            closing.push_async_callback(aio.cancel_and_wait, giving)
            try:
                while (event := await self._next(voice)) is not None:
                    if not self._heard_s:
                        self._stream.note_started(voice._started_time)
                        self._chain.members.switched(failures, self._route)
                        failures.clear()
                        self._stream.note_serving(self._route)
                    self._hear(event.frame)
                    if texts := event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT):
                        output.push_timed_transcript(texts)
                    for frame in resampler.push(event.frame) if resampler else [event.frame]:
                        output.push_frame(frame)
            finally:
                self._stream.note_started(voice._started_time)
                for frame in resampler.flush() if resampler else []:
                    output.push_frame(frame)
        if self._nothing_to_say and self._given.strip() and not output.pushed_duration():
            output.push_frame(_silence(self._chain))

    def _resampler(self) -> rtc.AudioResampler | None:
        rate, chain_rate = self._route.plugin.sample_rate, self._chain.sample_rate
        if rate == chain_rate:
            return None
        return rtc.AudioResampler(rate, chain_rate, num_channels=self._chain.num_channels)

    async def _open(self, closing: AsyncExitStack) -> tts.SynthesizeStream:
        voice, options = self._route.plugin, self._stream.options()
        if not voice.capabilities.streaming:
            sentences = tokenize.blingfire.SentenceTokenizer(retain_format=True)
            voice = tts.StreamAdapter(tts=voice, sentence_tokenizer=sentences)
            closing.push_async_callback(voice.aclose)
        return await closing.enter_async_context(voice.stream(conn_options=options))

    async def _give(self, voice: tts.SynthesizeStream) -> None:
        """Give the route what is left of the text, as it comes in."""
        self._given = self._rest
        voice.push_text(self._rest)
        while await self._text.more_than(self.position):
            piece = self._text.pieces[self.position]
            self.position += 1
            self._given += piece
            voice.push_text(piece)
        self._nothing_to_say = not is_speakable(self._given)
        self._all_given_at = asyncio.get_running_loop().time()
        if not self._nothing_to_say:
            voice.end_input()

    async def _next(self, voice: tts.SynthesizeStream) -> tts.SynthesizedAudio | None:
        """The next audio; None: there is no more.

        Raises:
            APIError: The voice failed, or fell silent.
        """
        event = asyncio.ensure_future(anext(voice))
        try:
            if not await done_by(event, self._due_at):
                if self._nothing_to_say:
                    return None
                raise APITimeoutError()
            return event.result()
        except StopAsyncIteration:
            return None
        finally:
            event.cancel()
            await asyncio.wait([event])

    def _due_at(self) -> float:
        """Loop time by which there must be more audio.

        While text is still coming, a voice may wait for the end of a sentence. The plugins of the
        gateways do not, and have waits of their own.
        """
        if self._all_given_at is None:
            return inf
        if self._nothing_to_say:
            return self._all_given_at
        if isinstance(self._route.plugin, GatewayTTS):
            return inf
        waits = self._chain.members.waits
        if not self._heard_s:
            return self._all_given_at + waits.first_audio_s
        return max(self._plays_until, self._all_given_at) + waits.stall_s

    def _hear(self, frame: rtc.AudioFrame) -> None:
        self._heard_s += frame.duration
        now = asyncio.get_running_loop().time()
        self._plays_until = max(self._plays_until, now) + frame.duration


def _silence(chain: ChainTTS) -> rtc.AudioFrame:
    samples = chain.sample_rate * _NOTHING_TO_SAY_MS // 1000
    return rtc.AudioFrame(
        b"\0\0" * samples * chain.num_channels, chain.sample_rate, chain.num_channels, samples
    )
