"""Voices in a chain: when one dies in the middle of a text, the next says what is left of it.

Built on the framework's adapter, of which events, spans and labels are kept. What it loses is done
here: it drops the rest of a text once some of it was heard. Here the audio that came tells how much
of the text was said, and the next voice begins with the first word that was not, by the same rules
by which a gateway's plugin resumes over another connection (`gatewaykit.script`).

All routes sound at the sample rate of the first, so that it is never resampled.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from livekit.agents import APIConnectOptions, APIError, tts
from livekit.agents.metrics import TTSMetrics
from livekit.agents.tts.fallback_adapter import (
    AvailabilityChangedEvent,
)
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
)
from livekit.plugins.gatewaykit.script import SpeakingPace

from .members import Members
from .route import ChainRoute, NoRouteError
from .settings import ChainSettings
from .tts_stream import ChainSynthesizeStream, Voice

_PROBE = "Okay."
_ROUNDS = 2
"""How often all routes are asked before a text is given up, while nothing was heard of it."""


class ChainTTS(tts.FallbackAdapter):
    """A chain of voices; one alone is asked directly.

    Args:
        routes: Primary first.
        waits: How long each is waited for.
    """

    def __init__(self, routes: Sequence[ChainRoute[Voice]], *, waits: ChainSettings) -> None:
        first = routes[0].plugin
        super().__init__([route.plugin for route in routes], sample_rate=first.sample_rate)
        self.members = Members(routes, waits=waits, probe=_probe)
        for route in routes:
            route.on_change = partial(self._on_availability, route)
        self.pace = defaultdict[str, SpeakingPace](SpeakingPace)
        """How fast each route speaks, by its name."""
        if only := self.members.only:
            only.plugin.on("error", self._on_error)
            only.plugin.on("metrics_collected", self._on_metrics)
        else:
            self._capabilities.streaming = True  # those that do not stream are wrapped

    @property
    def primary(self) -> Voice:
        """The voice of the first route: what is kept for later is said by it alone."""
        return self.members.routes[0].plugin

    def stream(  # type: ignore[override]  # a route that is alone makes its own
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        """Open a stream; see `livekit.agents.tts.TTS.stream`.

        Raises:
            NoRouteError: The only route is left alone for now.
        """
        if only := self.members.only:
            stream = self._alone(only).stream(conn_options=conn_options)
            stream._task.add_done_callback(lambda _: only.abandoned())  # unless it told an outcome
            return stream
        once = dataclasses.replace(conn_options, max_retry=min(conn_options.max_retry, _ROUNDS - 1))
        return ChainSynthesizeStream(tts=self, conn_options=once)

    def synthesize(  # type: ignore[override]  # a route that is alone makes its own
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Speak a text that is complete; see `livekit.agents.tts.TTS.synthesize`.

        Raises:
            NoRouteError: The only route is left alone for now.
        """
        if only := self.members.only:
            stream = self._alone(only).synthesize(text, conn_options=conn_options)
            stream._synthesize_task.add_done_callback(lambda _: only.abandoned())
            return stream
        return self._synthesize_with_stream(text, conn_options=conn_options)

    async def aclose(self) -> None:
        """Close the routes' connections."""
        await self.members.aclose()
        await super().aclose()
        for route in self.members.routes:
            await route.plugin.aclose()

    def _on_availability(self, route: ChainRoute[Voice], available: bool) -> None:
        self.emit(
            "tts_availability_changed",
            AvailabilityChangedEvent(tts=route.plugin, available=available),
        )

    def _next_instance(self) -> Voice:
        return self.members.first.plugin

    @staticmethod
    def _alone(only: ChainRoute[Voice]) -> Voice:
        if not only.begin():
            raise NoRouteError("tts")
        return only.plugin

    def _on_error(self, event: tts.TTSError) -> None:
        """An attempt of the only route has failed."""
        if isinstance(event.error, APIError):
            self.members.routes[0].failed(event.error)
        self.emit("error", event)

    def _on_metrics(self, _: TTSMetrics) -> None:
        """The only route has spoken."""
        self.members.routes[0].served()
        self.members.serves(self.members.routes[0])


async def _probe(voice: Voice, timeout_s: float) -> None:
    """Ask for a word, up to its first sound."""
    once = APIConnectOptions(max_retry=0, timeout=timeout_s)
    async with voice.synthesize(_PROBE, conn_options=once) as stream:
        async for _ in stream:
            return
