"""Speech to text through AIgateway: a WebSocket stream, and one request for a whole recording."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt, utils, vad
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer, is_given
from livekit.plugins.gatewaykit.errors import ProtocolError, from_status, from_transport
from livekit.plugins.gatewaykit.faults import FaultLog
from livekit.plugins.gatewaykit.handshake import connect
from livekit.plugins.gatewaykit.keys import Key, KeyRing
from livekit.plugins.gatewaykit.limits import Limits
from livekit.plugins.gatewaykit.pool import Lease, SparePool
from livekit.plugins.gatewaykit.url import bearer, http_url, resolve_base_url, resolve_keys
from livekit.plugins.gatewaykit.websocket import Socket

from ._codec import opus
from ._codec.stt import KEEP_ALIVE, decode_batch
from ._limits import ReplayOptions, STTTimeouts
from ._options import ACCOUNT, DOCUMENTED_STT_SAMPLE_RATE, STT_BATCH_PATH, STTOptions
from ._settle import SettlePolicy
from ._stats import STTStats
from ._stt_stream import SpeechStream
from .models import STTDialect, STTEncoding, STTModels

_BATCH_TIMEOUT_S = 30.0
"""One recording, uploaded and transcribed; the connection itself has ``conn_options.timeout``."""
_SPARE_MAX_AGE_S = 45.0
"""A socket opened by ``prewarm`` and still waiting is replaced after this long."""


class STT(stt.STT[Literal["speech_lost"]]):
    """AIgateway speech to text.

    Besides the framework's events it emits ``speech_lost`` with the seconds of speech that fell out
    of the replay ring in an outage, so that an agent can ask the caller to repeat.
    """

    def __init__(
        self,
        *,
        model: STTModels | str = "deepgram/nova-3",
        language: str = "en",
        sample_rate: int = DOCUMENTED_STT_SAMPLE_RATE,
        encoding: STTEncoding = "linear16",
        base_url: NotGivenOr[str] = NOT_GIVEN,
        api_key: NotGivenOr[str | KeyRing] = NOT_GIVEN,
        dialect: STTDialect = "deepgram",
        interim_results: bool = True,
        punctuate: bool = True,
        smart_format: bool = False,
        endpointing_ms: int | None = None,
        keyterms: Sequence[str] = (),
        word_timestamps: bool = False,
        preflight: SettlePolicy | None = SettlePolicy(),  # noqa: B008  # frozen
        vad: vad.VAD | None = None,
        tag: str = "voice.stt",
        timeouts: STTTimeouts = STTTimeouts(),  # noqa: B008  # frozen
        limits: Limits = Limits(),  # noqa: B008  # frozen
        replay: ReplayOptions = ReplayOptions(),  # noqa: B008  # frozen
        http_session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Create a new instance of AIgateway STT.

        Args:
            model: Model slug, ``vendor/model``.
            language: BCP-47 code; sent in the ``deepgram`` dialect, and set on every transcript.
            sample_rate: Hz of the audio sent, 8000 to 48000; input is resampled to it. The gateway
                documents 16000 and nothing else.
            encoding: ``opus`` sends the stream as Opus packets, at a tenth of the bandwidth; it
                needs the ``deepgram`` dialect and the extra ``livekit-plugins-aigateway[opus]``.
            base_url: Defaults to ``AIGATEWAY_BASE_URL``, then to the public gateway.
            api_key: Defaults to ``AIGATEWAY_API_KEY``. Several, separated by commas, are used in
                turn; a ``KeyRing`` is shared with the plugins that are given the same one.
            dialect: ``deepgram`` sends Deepgram's query options and its KeepAlive and CloseStream
                messages, ``minimal`` nothing but audio.
            interim_results: Whether to ask for partial transcripts.
            punctuate: Whether to ask for punctuation, which helps end-of-turn models.
            smart_format: Whether to ask for formatted numbers, dates and the like.
            endpointing_ms: Silence that ends an utterance; ``None`` leaves it to the gateway.
            keyterms: Words to expect, such as names.
            word_timestamps: Whether this gateway and model are known to time words; declares
                ``aligned_transcript``.
            preflight: When an interim has settled enough for a speculative reply; ``None`` never.
            vad: Send audio only around the speech that this detector finds. Saves the price of
                silence; costs nothing in latency, for the onset is sent from before the report.
            tag: Label under which the gateway books the cost (``x-aig-tag``).
            timeouts: Every wait.
            limits: Every size.
            replay: How much audio is kept for a reconnect.
            http_session: Defaults to the job's session.

        Raises:
            ValueError: There is no key, or an argument is out of range.
        """
        if not 8000 <= sample_rate <= 48000:
            raise ValueError(f"sample_rate must be 8000 to 48000 Hz, got {sample_rate}")
        if encoding == "opus":
            _require_opus(dialect=dialect, sample_rate=sample_rate)
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=interim_results,
                aligned_transcript="word" if word_timestamps else False,
                keyterms=dialect == "deepgram",
            )
        )
        self._opts = STTOptions(
            model=model,
            language=LanguageCode(language),
            sample_rate=sample_rate,
            encoding=encoding,
            base_url=resolve_base_url(base_url, ACCOUNT),
            keys=resolve_keys(api_key, ACCOUNT),
            tag=tag,
            dialect=dialect,
            interim_results=interim_results,
            punctuate=punctuate,
            smart_format=smart_format,
            endpointing_ms=endpointing_ms,
            keyterms=tuple(keyterms),
            preflight=preflight,
            timeouts=timeouts,
            limits=limits,
            replay=replay,
        )
        self.stats = STTStats()
        self.faults = FaultLog(stage="stt", provider=self.provider)
        """The faults that streams have met, healed ones included."""
        self._user_keyterms = tuple(keyterms)
        self._session_keyterms: tuple[str, ...] = ()
        self._vad = vad
        self._session = http_session
        self._streams = weakref.WeakSet[SpeechStream]()
        self._pool = SparePool(
            name="aigateway.stt",
            connect=lambda timeout_s: self._connect(self._opts, timeout_s),
            connect_timeout_s=DEFAULT_API_CONNECT_OPTIONS.timeout,
            spare_max_age_s=_SPARE_MAX_AGE_S,
            refill=False,
            keepalive=KEEP_ALIVE if dialect == "deepgram" else None,
            keepalive_s=timeouts.keepalive_s,
        )

    @property
    def model(self) -> str:
        """The model slug."""
        return self._opts.model

    @property
    def provider(self) -> str:
        """The gateway, which is who is asked and who is paid."""
        return "AIgateway"

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpeechStream:
        """Open a stream; frames pushed to it come back as speech events."""
        stream = SpeechStream(
            stt=self,
            opts=self._in_language(language),
            conn_options=conn_options,
            detector=self._vad,
        )
        self._streams.add(stream)
        return stream

    def update_options(
        self,
        *,
        model: NotGivenOr[STTModels | str] = NOT_GIVEN,
        language: NotGivenOr[str] = NOT_GIVEN,
        interim_results: NotGivenOr[bool] = NOT_GIVEN,
        punctuate: NotGivenOr[bool] = NOT_GIVEN,
        smart_format: NotGivenOr[bool] = NOT_GIVEN,
        endpointing_ms: NotGivenOr[int | None] = NOT_GIVEN,
        keyterms: NotGivenOr[Sequence[str]] = NOT_GIVEN,
    ) -> None:
        """Change options. Live streams reconnect with them at the next pause in speech."""
        changes: dict[str, object] = {
            name: value
            for name, value in {
                "model": model,
                "language": LanguageCode(language) if is_given(language) else NOT_GIVEN,
                "interim_results": interim_results,
                "punctuate": punctuate,
                "smart_format": smart_format,
                "endpointing_ms": endpointing_ms,
            }.items()
            if is_given(value)
        }
        if is_given(keyterms):
            self._user_keyterms = tuple(keyterms)
            changes["keyterms"] = self._merged_keyterms()
        if is_given(interim_results):
            self._capabilities.interim_results = interim_results
        self._apply(changes)

    def prewarm(self) -> None:
        """Open the first stream's socket ahead of it."""
        self._pool.prewarm()

    async def aclose(self) -> None:
        """Close every stream and socket."""
        for stream in list(self._streams):
            await stream.aclose()
        self._streams.clear()
        await self._pool.aclose()

    async def _acquire(self, opts: STTOptions, *, timeout_s: float) -> Lease:
        """A connected socket for ``opts``, from ``prewarm`` if it fits."""
        if opts == self._opts:
            return await self._pool.acquire(timeout_s=timeout_s)
        started = asyncio.get_running_loop().time()
        socket = await self._connect(opts, timeout_s)
        elapsed = asyncio.get_running_loop().time() - started
        return Lease(socket=socket, acquire_s=elapsed, reused=False)

    def _discard(self, socket: Socket) -> None:
        """Close a socket without waiting for it."""
        self._pool.discard(socket)

    def _in_language(self, language: NotGivenOr[str]) -> STTOptions:
        return replace(self._opts, language=LanguageCode(language)) if language else self._opts

    def _merged_keyterms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._user_keyterms, *self._session_keyterms)))

    def _update_session_keyterms(self, keyterms: list[str]) -> None:
        super()._update_session_keyterms(keyterms)
        if self._capabilities.keyterms and tuple(keyterms) != self._session_keyterms:
            self._session_keyterms = tuple(keyterms)
            self._apply({"keyterms": self._merged_keyterms()})

    def _apply(self, changes: dict[str, object]) -> None:
        before = self._opts
        self._opts = replace(before, **changes)  # type: ignore[arg-type]  # names are fields
        if self._opts == before:
            return
        self._pool.invalidate()
        for stream in self._streams:
            stream.update_options(changes)

    async def _connect(self, opts: STTOptions, timeout_s: float) -> Socket:
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

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        opts = self._in_language(language)

        async def ask(key: Key, left_s: float) -> stt.SpeechEvent:
            return await self._transcribe(opts, key, buffer, connect_s=left_s)

        try:
            return await opts.keys.use(
                ask, within_s=conn_options.timeout, on_switch=self.faults.note_error
            )
        except APIError as error:
            self.faults.note_error(error)
            raise

    async def _transcribe(
        self, opts: STTOptions, key: Key, buffer: AudioBuffer, *, connect_s: float
    ) -> stt.SpeechEvent:
        """One request for a whole recording.

        Raises:
            APIError: It failed.
        """
        request_id = utils.shortuuid("stt_")
        try:
            async with self._ensure_session().post(
                http_url(opts.base_url, STT_BATCH_PATH),
                data=_recording(opts, buffer),
                headers=opts.headers | bearer(key.secret),
                timeout=aiohttp.ClientTimeout(
                    total=max(_BATCH_TIMEOUT_S, connect_s), connect=connect_s, sock_read=connect_s
                ),
                allow_redirects=False,  # a redirect would carry the key with it
            ) as response:
                request_id = response.headers.get("x-request-id", request_id)
                if response.status != 200:
                    raise from_status(
                        response.status,
                        what="transcription",
                        request_id=request_id,
                        headers=response.headers,
                    )
                text = decode_batch(await _read_text(response, opts.limits), opts.limits)
        except (aiohttp.ClientError, OSError, ValueError, APIError) as exc:
            error = from_transport(exc, what="transcription")
        else:
            data = stt.SpeechData(language=opts.language, text=text.strip())
            return stt.SpeechEvent(
                type=stt.SpeechEventType.FINAL_TRANSCRIPT,
                request_id=request_id,
                alternatives=[data],
            )
        raise error from None

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = utils.http_context.http_session()
        return self._session


def _require_opus(*, dialect: STTDialect, sample_rate: int) -> None:
    if dialect != "deepgram":
        raise ValueError("encoding='opus' needs dialect='deepgram', which can say so to the server")
    if sample_rate not in opus.SAMPLE_RATES:
        raise ValueError(f"Opus knows the sample rates {opus.SAMPLE_RATES}, got {sample_rate}")
    if not opus.is_available():
        raise ValueError("encoding='opus' needs PyAV: pip install livekit-plugins-aigateway[opus]")


def _recording(opts: STTOptions, buffer: AudioBuffer) -> aiohttp.FormData:
    form = aiohttp.FormData()
    wav = rtc.combine_audio_frames(buffer).to_wav_bytes()
    form.add_field("file", wav, filename="audio.wav", content_type="audio/wav")
    form.add_field("model", opts.model)
    if opts.dialect == "deepgram":
        form.add_field("language", str(opts.language))
    return form


async def _read_text(response: aiohttp.ClientResponse, limits: Limits) -> str:
    """The body, refused when it is larger than a message may be."""
    body = b""
    async for chunk in response.content.iter_chunked(limits.json_bytes):
        body += chunk
        if len(body) > limits.json_bytes:
            raise ProtocolError("the answer is too large")
    return body.decode("utf-8", "replace")
