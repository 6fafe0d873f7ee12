"""Text to speech through AIgateway: a WebSocket for every reply, with the next one always warm."""

from __future__ import annotations

from dataclasses import replace

import aiohttp
from livekit.agents import tokenize
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.plugins.gatewaykit import tts
from livekit.plugins.gatewaykit.handshake import connect
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.pool import SparePool
from livekit.plugins.gatewaykit.script import Script, SpeakingPace
from livekit.plugins.gatewaykit.url import resolve_base_url, resolve_keys
from livekit.plugins.gatewaykit.websocket import Socket

from ._limits import TTSTimeouts
from ._options import ACCOUNT, TTSOptions
from ._reply import Patience, Reply
from ._stats import TTSStats
from .models import EndOfInput, TTSModels, TTSVoices


class TTS(tts.TTS):
    """AIgateway text to speech."""

    def __init__(
        self,
        *,
        model: TTSModels | str = "elevenlabs/eleven-turbo-v3",
        voice: TTSVoices | str = "rachel",
        sample_rate: int = 24000,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        api_key: NotGivenOr[str | KeyRing] = NOT_GIVEN,
        tokenizer: NotGivenOr[tokenize.SentenceTokenizer] = NOT_GIVEN,
        end_of_input: EndOfInput = "none",
        tag: str = "voice.tts",
        timeouts: TTSTimeouts = TTSTimeouts(),  # noqa: B008  # frozen
        limits: Limits = Limits(),  # noqa: B008  # frozen
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Create a new instance of AIgateway TTS.

        Args:
            model: Model slug, ``vendor/model``.
            voice: Name of one of the vendor's voices.
            sample_rate: Hz of the audio that the gateway sends: 24000 as documented. The wire form
                names no rate, so a wrong one here is heard as a wrong pitch.
            base_url: Defaults to ``AIGATEWAY_BASE_URL``, then to the public gateway.
            api_key: Defaults to ``AIGATEWAY_API_KEY``. Several, separated by commas, are used in
                turn; a ``KeyRing`` is shared with the plugins that are given the same one.
            tokenizer: Cuts text into what is sent in one message. The default releases a sentence
                at its end, without waiting for the next.
            end_of_input: ``none``, or ``empty`` to end a reply's text with ``{"text": ""}`` for
                gateways that answer it with a marker or a close.
            tag: Label under which the gateway books the cost (``x-aig-tag``).
            timeouts: Every wait.
            limits: Every size.
            http_session: Defaults to the job's session.

        Raises:
            ValueError: There is no key, or an argument is out of range.
        """
        super().__init__(
            sample_rate=sample_rate,
            provider=ACCOUNT.name,
            clause_chars=limits.clause_chars,
            tokenizer=tokenizer,
            http_session=http_session,
        )
        self._opts = TTSOptions(
            model=model,
            voice=voice,
            sample_rate=sample_rate,
            base_url=resolve_base_url(base_url, ACCOUNT),
            keys=resolve_keys(api_key, ACCOUNT),
            tag=tag,
            end_of_input=end_of_input,
            timeouts=timeouts,
            limits=limits,
        )
        self.stats = TTSStats()
        self._patience = Patience()
        self._pool = SparePool(
            name="aigateway.tts",
            connect=self._connect,
            connect_timeout_s=DEFAULT_API_CONNECT_OPTIONS.timeout,
            spare_max_age_s=timeouts.spare_max_age_s,
        )

    @property
    def model(self) -> str:
        """The model slug."""
        return self._opts.model

    def update_options(
        self,
        *,
        model: NotGivenOr[TTSModels | str] = NOT_GIVEN,
        voice: NotGivenOr[TTSVoices | str] = NOT_GIVEN,
    ) -> None:
        """Change the voice from the next reply on; the present one is finished in the old one."""
        opts = replace(
            self._opts,
            model=model if is_given(model) else self._opts.model,
            voice=voice if is_given(voice) else self._opts.voice,
        )
        if opts != self._opts:
            self._opts = opts
            self._pace = SpeakingPace()
            # both are part of the address that the spare is connected to
            self._pool.invalidate()

    def prewarm(self) -> None:
        """Connect the first reply's socket ahead of it."""
        self._pool.prewarm()

    async def aclose(self) -> None:
        """Close every stream and socket."""
        await super().aclose()
        await self._pool.aclose()

    def _make_reply(self, script: Script, *, events: tts.ReplyEvents, connect_s: float) -> Reply:
        """A reply that speaks ``script`` with the present options."""
        return Reply(
            script,
            options=self._opts,
            pool=self._pool,
            pace=self._pace,
            patience=self._patience,
            stats=self.stats,
            faults=self.faults,
            events=events,
            connect_s=connect_s,
        )

    async def _connect(self, timeout_s: float) -> Socket:
        opts = self._opts
        socket = await connect(
            self._ensure_session(),
            opts.stream_url(),
            keys=opts.keys,
            headers=opts.headers,
            timeout_s=timeout_s,
            options=opts.socket_options(),
            faults=self.faults,
        )
        self.stats.connections += 1
        return socket
