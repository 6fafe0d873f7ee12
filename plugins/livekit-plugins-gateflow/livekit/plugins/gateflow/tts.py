"""Text to speech through GateFlow: a request for every clause, the next one always under way."""

from __future__ import annotations

from dataclasses import replace

import aiohttp
from livekit.agents import tokenize
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.plugins.gatewaykit import tts
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.script import Script, SpeakingPace
from livekit.plugins.gatewaykit.url import resolve_base_url, resolve_keys

from ._account import ACCOUNT
from ._clause import SpeechOptions
from ._limits import TTSTimeouts
from ._reply import Reply
from .models import AudioFormats, TTSModels, TTSVoices


class TTS(tts.TTS):
    """GateFlow text to speech."""

    def __init__(
        self,
        *,
        model: TTSModels | str = "eleven_turbo_v2_5",
        voice: TTSVoices | str = "friendly",
        response_format: AudioFormats = "pcm",
        sample_rate: int = 24000,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        api_key: NotGivenOr[str | KeyRing] = NOT_GIVEN,
        tokenizer: NotGivenOr[tokenize.SentenceTokenizer] = NOT_GIVEN,
        timeouts: TTSTimeouts = TTSTimeouts(),  # noqa: B008  # frozen
        limits: Limits = Limits(),  # noqa: B008  # frozen
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Create a new instance of GateFlow TTS.

        Args:
            model: Model name.
            voice: Name of one of the vendor's voices.
            response_format: ``pcm``, or ``mp3`` at a fraction of the size.
            sample_rate: Hz of PCM that the gateway sends: 24000 as documented. MP3 tells its own
                rate and is brought to this one.
            base_url: Defaults to ``GATEFLOW_BASE_URL``, then to the public gateway.
            api_key: Defaults to ``GATEFLOW_API_KEY``. Several, separated by commas, are used in
                turn; a ``KeyRing`` is shared with the plugins that are given the same one.
            tokenizer: Cuts text into what is asked for in one request. The default releases a
                sentence at its end, without waiting for the next.
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
        self._opts = SpeechOptions(
            model=model,
            voice=voice,
            response_format=response_format,
            sample_rate=sample_rate,
            base_url=resolve_base_url(base_url, ACCOUNT),
            keys=resolve_keys(api_key, ACCOUNT),
            timeouts=timeouts,
            limits=limits,
        )

    @property
    def model(self) -> str:
        """The model name."""
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

    def _make_reply(self, script: Script, *, events: tts.ReplyEvents, connect_s: float) -> Reply:
        """A reply that speaks ``script`` with the present options."""
        return Reply(
            script,
            options=self._opts,
            session=self._ensure_session(),
            pace=self._pace,
            faults=self.faults,
            events=events,
            connect_s=connect_s,
        )
