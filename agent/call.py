"""One call: its session, its agent, and what watches both."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from livekit.agents import (
    AgentSession,
    APIConnectOptions,
    CloseEvent,
    CloseReason,
    JobContext,
    STTContextOptions,
    llm,
    room_io,
    stt,
    tts,
    vad,
)
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice.agent_session import SessionConnectOptions
from livekit.agents.voice.room_io.types import TextInputCallback
from livekit.plugins import gateflow

from . import realtime
from .assistant import Assistant, CallState
from .chain.llm import ChainLLM
from .config import Settings, require_keys
from .ending import Ending
from .guard.hedge import HedgedStart
from .observe import metrics
from .observe.hedges import HedgeLedger
from .observe.publish import Publisher
from .observe.record import TurnRecord
from .observe.transport import TransportEstimate
from .observe.waterfall import Waterfall
from .phone.assistant import PhoneAssistant
from .phone.line import RATE as LINE_RATE
from .phone.line import Line
from .phone.screening import screen
from .presence import Presence
from .providers import build_llm, build_realtime, build_stt, build_tts
from .shared_health import board_of, shared_board
from .speech.captions import PACED
from .speech.phrases import PhraseCache
from .speech.plain import without_markdown
from .speech.playout import Playout
from .tools.store import Store
from .turns import TurnDetector, open_turn_model, turn_handling
from .wording import WordingAgent

logger = logging.getLogger("parley.call")

_CONNECT_OPTIONS = APIConnectOptions(max_retry=3, retry_interval=0.5, timeout=5.0)
"""The framework's own budget (4 attempts of 10 s) would be up to 44 s of silence in a phone
call."""

_UNRECOVERABLE_ERRORS = 1000
"""The framework would hang up without a word at its fourth error; `agent/guard` says goodbye."""

_LAST_WORDS_S = 0.3
"""Wait for a final transcript when a call ends. Nobody answers it any more, and the framework's 2 s
would keep the caller's connection and a job process."""

_INPUT_RATE = 16_000
"""What VAD, turn model and recognisers want. At the framework's 24 kHz each of them resamples every
frame for itself: a third of a call's CPU. A realtime model wants those 24."""
_REALTIME_RATE = 24_000
_OUTPUT_RATE = 24_000
"""What most voices have; others are resampled."""


@dataclass(frozen=True)
class Plugins:
    """What hears, thinks and speaks in a call, not yet connected."""

    ears: stt.STT[Any] | None
    model: llm.LLM[Any] | gateflow.RealtimeModel
    voice: tts.TTS[Any]


def build_plugins(settings: Settings, detector: vad.VAD) -> Plugins:
    """Ears, mind and voice, not yet connected; a process has one call, so they are used once.

    An HTTP client takes some 100 ms to read the system's certificates; in a call, that would be
    silence.

    Raises:
        ConfigError: A route cannot be used.
    """
    require_keys(settings)
    board = board_of(settings)
    voice = build_tts(settings, board=board)
    if route := settings.realtime_route:
        realtime.require_usable(route, settings)
        ears = (
            build_stt(settings, vad=detector, board=board)
            if route.transport == "websocket"
            else None
        )
        return Plugins(ears, build_realtime(route, settings, vad=detector), voice)
    ears = build_stt(settings, vad=detector, board=board)
    starter = HedgedStart(budget=settings.guard.budget, hedging=settings.guard.hedging)
    return Plugins(ears, build_llm(settings, board=board, starter=starter), voice)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that is about to be held.

    Attributes:
        ctx: The framework's job.
        settings: The worker's settings.
        detector: Voice activity.
        plugins: Ears, mind and voice.
        line: The telephone line that the caller is on, if it is one.
    """

    ctx: JobContext
    settings: Settings
    detector: vad.VAD
    plugins: Plugins
    line: Line | None = None

    async def run(self) -> None:
        """Start the session; it goes on until somebody hangs up."""
        self._share_health()
        turns = self._turn_detector()
        hedges = self._hedge_ledger()
        session = self._session(turns)
        playout = Playout(sample_rate=LINE_RATE if self.line else _OUTPUT_RATE)
        session.output.audio = playout
        waterfall = Waterfall(
            session,
            lambda record: _tell_turn(record, publisher),
            transport=TransportEstimate(self.ctx.room),
            hedges=hedges,
        )
        assistant = self._assistant(turns, waterfall)
        _close_plugins_after(session, self.ctx)
        _close_room_after(session, self.ctx)
        self.ctx.add_shutdown_callback(playout.aclose)
        publisher = self._publisher(session, assistant, hedges)
        presence = self._presence(session)
        presence.watch()
        await session.start(
            assistant,
            room=self.ctx.room,
            room_options=self._room_options(),
            # Whoever may send data could ask a session host for the instructions and the history.
            session_host=False,
        )
        playout.start(self.ctx.room)
        presence.start()
        if self.line:
            self.line.attend(session)
            if self.line.outbound:
                await screen(self.line, session)

    def _turn_detector(self) -> TurnDetector | None:
        """Finds the ends of turns, unless a realtime model does."""
        if not isinstance(self.plugins.model, llm.LLM):
            return None
        turn = self.settings.turn
        return TurnDetector(settings=turn, open_model=open_turn_model if turn.turn_model else None)

    def _session(self, turns: TurnDetector | None) -> AgentSession[CallState]:
        """The session, not yet started."""
        settings, plugins = self.settings, self.plugins
        session = AgentSession[CallState](
            userdata=CallState(
                call_id=self.ctx.job.room.sid or self.ctx.room.name,
                store=Store(settings.store_path),
                customer_email=settings.customer_email,
                wants_proof=bool(self.line and settings.phone.pins),
            ),
            stt=plugins.ears or NOT_GIVEN,
            llm=plugins.model,
            tts=plugins.voice,
            vad=self.detector,
            turn_handling=turn_handling(settings, turns)
            if turns
            else realtime.turn_handling(settings),
            stt_context_options=STTContextOptions(keyterms=settings.keyterms),
            session_close_transcript_timeout=_LAST_WORDS_S,
            aec_warmup_duration=settings.turn.aec_warmup_s or None,
            tts_text_transforms=[without_markdown, "filter_emoji"],
            user_away_timeout=settings.phone.silence_s,
            conn_options=SessionConnectOptions(
                stt_conn_options=_CONNECT_OPTIONS,
                llm_conn_options=_CONNECT_OPTIONS,
                tts_conn_options=_CONNECT_OPTIONS,
                max_unrecoverable_errors=_UNRECOVERABLE_ERRORS,
            ),
        )
        if turns:
            turns.watch(session)
        return session

    def _assistant(self, turns: TurnDetector | None, waterfall: Waterfall) -> WordingAgent:
        """The agent."""
        settings, model = self.settings, self.plugins.model
        phrases = PhraseCache(folder=settings.phrases_path, voice=settings.tts)
        if not (turns and isinstance(model, llm.LLM)):
            return realtime.RealtimeAssistant(
                settings=settings, phrases=phrases, waterfall=waterfall
            )
        agent_of = partial(PhoneAssistant, line=self.line) if self.line else Assistant
        return agent_of(
            settings=settings, model=model, phrases=phrases, turns=turns, waterfall=waterfall
        )

    def _room_options(self) -> room_io.RoomOptions:
        """What is heard and read."""
        settings = self.settings
        if isinstance(self.plugins.model, llm.LLM):
            typed, rate = _typed(settings.text_max_chars), _INPUT_RATE
        else:
            typed, rate = realtime.say_that_text_is_not_read, _REALTIME_RATE
        text = room_io.TextInputOptions(text_input_cb=typed)
        if self.line:
            return self.line.room_options(text, rate)
        return room_io.RoomOptions(
            audio_input=room_io.AudioInputOptions(
                sample_rate=rate, frame_size_ms=settings.turn.input_frame_ms
            ),
            audio_output=False,  # Playout's
            text_output=PACED,
            text_input=text,
            close_on_disconnect=False,  # Presence decides
        )

    def _share_health(self) -> None:
        """Tell other workers what fails here, and listen to them, where there is a Redis."""
        if board := shared_board(self.settings):
            board.start()
            self.ctx.add_shutdown_callback(board.aclose)

    def _hedge_ledger(self) -> HedgeLedger:
        """Counts what requests cost that lose a race."""
        ledger, model = HedgeLedger(), self.plugins.model
        if isinstance(model, ChainLLM) and isinstance(model.starter, HedgedStart):
            model.starter.subscribe(ledger.hedged)
            model.on("metrics_collected", ledger.used)
        return ledger

    def _publisher(
        self, session: AgentSession[CallState], assistant: WordingAgent, hedges: HedgeLedger
    ) -> Publisher:
        """Send turns, tools and cost to the page."""
        publisher = Publisher(
            room=self.ctx.room,
            session=session,
            prices=self.settings.prices,
            reply=assistant,
            hedges=hedges,
        )
        publisher.start()

        async def close_publisher() -> None:
            await publisher.aclose()

        self.ctx.add_shutdown_callback(close_publisher)
        return publisher

    def _presence(self, session: AgentSession[CallState]) -> Presence:
        """Wait for callers who lose their connection; end the call of those who hang up."""

        def end(ending: Ending) -> None:
            session.userdata.ending = ending
            session.shutdown(drain=False)

        presence = Presence(
            room=self.ctx.room,
            session=session,
            end=end,
            wait_s=self.settings.caller_return_s,
            welcome_back=self.settings.welcome_back,
        )
        session.on("close", lambda _: presence.stop())
        return presence


def _tell_turn(record: TurnRecord, publisher: Publisher) -> None:
    metrics.observe_turn(record)
    publisher.turn(record)


def _typed(max_chars: int) -> TextInputCallback:
    """Typed words are a turn like spoken ones; what a flood is of them is cut off."""

    async def take(session: AgentSession[CallState], event: room_io.TextInputEvent) -> None:
        if text := event.text.strip()[:max_chars]:
            await session.interrupt(force=True)
            _ = session.generate_reply(user_input=text)

    return take


def _close_plugins_after(session: AgentSession[CallState], ctx: JobContext) -> None:
    """Close what plugins keep open beside the streams of a call: warm sockets, HTTP connections."""

    async def close_plugins() -> None:
        for plugin in (session.stt, session.llm, session.tts):
            if isinstance(plugin, stt.STT | llm.LLM | llm.RealtimeModel | tts.TTS):
                await plugin.aclose()

    ctx.add_shutdown_callback(close_plugins)


def _close_room_after(session: AgentSession[CallState], ctx: JobContext) -> None:
    """Hang up for good: a session that the agent ended takes its room with it."""

    async def delete_room() -> None:
        await ctx.delete_room()

    def on_close(event: CloseEvent) -> None:
        reason = (session.userdata.ending or event.reason).value
        logger.info("call ended", extra={"reason": reason})
        metrics.CALLS_OPEN.dec()
        metrics.CALLS.labels(reason).inc()
        if event.reason in (CloseReason.USER_INITIATED, CloseReason.ERROR):
            ctx.add_shutdown_callback(delete_room)
        ctx.shutdown(reason=reason)

    metrics.CALLS_OPEN.inc()
    session.on("close", on_close)
