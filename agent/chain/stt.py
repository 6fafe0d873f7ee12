"""Recognisers in a chain: when one dies, the next hears again what no final covers yet.

Built on the framework's adapter, of which capabilities, wrapping and events are kept. What it loses
is done here: the audio in flight at a switch, and segment times, which it takes from the wall
clock. A stream keeps the newest audio in a ring, on a sample clock of its own, and gives it to the
next route from the last final on. What was told as an interim is told again by that route and
replaces it, so no word is lost or doubled.

A route that has healed is returned to between utterances, when nobody speaks and nothing is owed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt, vad
from livekit.agents.stt.fallback_adapter import AvailabilityChangedEvent
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from ..speech.phrases import recorded_apology
from .members import Members
from .route import ChainRoute
from .settings import ChainSettings
from .stt_stream import ChainRecognizeStream

Ears: TypeAlias = stt.STT[Any]

_PROBE_SILENCE_S = 0.8
"""After a probe's sentence, so that its end is noticed."""
_WORDS = (stt.SpeechEventType.INTERIM_TRANSCRIPT, stt.SpeechEventType.FINAL_TRANSCRIPT)


class NothingHeardError(APIError):
    """A recogniser made nothing of clear speech."""

    def __init__(self) -> None:
        super().__init__("the recogniser heard no words", retryable=True)


class ChainSTT(stt.FallbackAdapter):
    """A chain of recognisers; one alone is asked directly.

    Args:
        routes: Primary first.
        vad: Cuts the audio for those that do not stream.
        waits: How long each is waited for.
    """

    def __init__(
        self, routes: Sequence[ChainRoute[Ears]], *, vad: vad.VAD, waits: ChainSettings
    ) -> None:
        plugins = [route.plugin for route in routes]
        super().__init__(plugins, vad=vad, attempt_timeout=waits.connect_s, max_retry_per_stt=0)
        for route, streaming in zip(routes, self._stt_instances, strict=True):
            route.plugin = streaming  # wrapped, where it does not stream by itself
        self._plugins = plugins
        self._lost: list[Callable[[float], None]] = []
        self.members = Members(routes, waits=waits, probe=_probe)
        for route in routes:
            route.on_change = partial(self._on_availability, route)
        if self.members.only:
            plugins[0].on("error", self._on_error)
            plugins[0].on("speech_lost", self.speech_lost)

    def on_speech_lost(self, listener: Callable[[float], None]) -> None:
        """Call `listener` with the seconds of speech that an outage outlasted."""
        self._lost.append(listener)

    def speech_lost(self, seconds: float) -> None:
        """Tell that speech fell out of what can be heard again."""
        for listener in self._lost:
            listener(seconds)

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Open a stream; see `livekit.agents.stt.STT.stream`.

        A route that is alone has no breaker: not to hear anything is worse than to ask again.
        """
        if only := self.members.only:
            self.members.serves(only)
            return only.plugin.stream(language=language, conn_options=conn_options)
        return ChainRecognizeStream(
            self, members=self.members, language=language, conn_options=conn_options
        )

    async def aclose(self) -> None:
        """Close the routes' streams and connections."""
        await self.members.aclose()
        await super().aclose()
        for plugin in self._plugins:
            await plugin.aclose()

    def _on_availability(self, route: ChainRoute[Ears], available: bool) -> None:
        self.emit(
            "stt_availability_changed",
            AvailabilityChangedEvent(stt=route.plugin, available=available),
        )

    def _next_instance(self) -> Ears:
        return self.members.first.plugin

    def _on_error(self, event: stt.STTError) -> None:
        """The only route has failed."""
        self.emit("error", event)


async def _probe(ears: Ears, timeout_s: float) -> None:
    """Let it hear a recorded sentence: it has to find words in it, whichever."""
    once = APIConnectOptions(max_retry=0, timeout=timeout_s)
    async with ears.stream(conn_options=once) as stream:
        frames = recorded_apology()
        for frame in frames:
            stream.push_frame(frame)
        rate, channels = frames[-1].sample_rate, frames[-1].num_channels
        samples = int(rate * _PROBE_SILENCE_S)
        quiet = bytes(2 * samples * channels)
        stream.push_frame(rtc.AudioFrame(quiet, rate, channels, samples))
        stream.end_input()
        async for event in stream:
            if event.type in _WORDS and event.alternatives and event.alternatives[0].text.strip():
                return
    raise NothingHeardError()
