"""Settings of the agent: read once from the environment and `.env`, validated, never printable.

Every setting is an environment variable; `.env` in the working directory is read too and loses
against the environment. Secrets are `SecretStr`, so that no repr, log line or exception can show
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .accounts import Accounts
from .chain.settings import ChainSettings
from .guard.settings import GuardSettings
from .phone.settings import PhoneSettings
from .routes import (
    SEGMENTED_PROVIDERS,
    RealtimeRoute,
    Route,
    RouteError,
    parse_chain,
    parse_realtime,
)

DEV_API_KEY = "devkey"
DEV_API_SECRET = "secret"  # noqa: S105 - what `livekit-server --dev` itself uses; refused by `start`


class ConfigError(Exception):
    """The settings cannot be used; the message says which one and what to do about it."""


def _chain(value: str) -> str:
    try:
        parse_chain(value)
    except RouteError as e:
        raise ValueError(str(e)) from None
    return value


def _realtime(value: str) -> str:
    if value:
        try:
            parse_realtime(value)
        except RouteError as e:
            raise ValueError(str(e)) from None
    return value


def _bar_separated(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split("|") if part.strip()]


DEFAULT_OPENERS = (
    "Sure,", "Of course,", "Okay,", "Alright,", "Certainly,", "Great,", "Well,", "Right,",
    "Good question,", "I am sorry,", "Thank you,",
)  # fmt: skip
"""What replies of most models begin with; "One moment, please." is the filler, not an opener."""

Chain = Annotated[str, NoDecode, AfterValidator(_chain)]


_PROMPT_WORDS_S = 0.2
"""Recognisers that hear a stream tell the words of an interruption within 0.15 to 0.3 s."""
_LATE_WORDS_S = 2.0
"""Those that are sent a stretch of speech tell them about a second after its end."""


class TurnSettings(BaseSettings):
    """When a turn ends and what interrupts the agent. All times in seconds."""

    model_config = SettingsConfigDict(env_prefix="AGENT_TURN_", env_file=".env", extra="ignore")

    finished_s: float = Field(0.15, ge=0, le=5)
    """Silence after words that are a whole question or answer before the turn is over."""
    likely_s: float = Field(0.18, ge=0, le=5)
    """Silence after words that may be all, when the turn model agrees. With all but the fastest
    providers the reply is not there by then, and the turn stays open for nothing: `free_wait_s`."""
    unsure_s: float = Field(0.6, ge=0, le=5)
    """Silence after words that may be all, when the turn model does not."""
    dictation_s: float = Field(1.2, ge=0, le=5)
    """Silence after digits or in an e-mail address, which are said in groups."""
    unfinished_s: float = Field(1.6, ge=0, le=10)
    """Silence after words that no sentence ends with, such as "my e-mail is"."""
    free_wait_s: float = Field(0.8, ge=0, le=5)
    """The turn stays open while the reply's first words are not there, at most this long: nobody
    waits for it."""
    head_start_s: float = Field(0.05, ge=0, le=1)
    """That wait ends so long before the first words are expected: what follows the end of a turn
    takes the framework some 30 ms, which would otherwise be heard."""
    acknowledge_after_s: float = Field(0.27, ge=0, le=5)
    """Silence after which the turn may be over although the model has no words yet: "Let me see."
    is said then. 0: never."""
    turn_model: bool = True
    """Whether LiveKit's local turn model (v1-mini) is asked when the words leave it open."""
    judge_after_s: float = Field(0.08, ge=0, le=2)
    """It is asked so long after a reply was begun ahead, and again when the pause is certain if it
    did not agree: it answers in 50 to 100 ms."""
    settle_finished_s: float = Field(0.14, ge=0.02, le=2)
    """Silence after which a partial whose words are a whole question is answered ahead."""
    settle_silence_s: float = Field(0.16, ge=0.02, le=2)
    """The same for words that may go on; stops inside words are silences of up to 0.15."""
    settle_s: float = Field(0.1, ge=0.02, le=2)
    """Time for which those words must not have changed."""
    speculations: int = Field(4, ge=0, le=20)
    """Replies that may be begun ahead of one turn's end; a changed transcript throws one away."""
    speculation_max_speech_s: float = Field(15.0, ge=0, le=120)
    """Speech beyond this is not answered ahead of its end: it changes too often."""
    vad_min_silence_s: float = Field(0.15, ge=0.05, le=2)
    """Silence that Silero must see before speech counts as paused; no turn ends earlier."""
    min_interruption_s: float = Field(0.09, ge=0.07, le=2)
    """Speech that counts as a barge-in. Below 0.07 the framework would interrupt itself."""
    false_interruption_timeout_s: float = Field(0.0, ge=0, le=10)
    """After a barge-in without words the agent resumes its reply when this time has passed. 0: 0.2,
    or 2 where words come only when a stretch of speech is over and was sent."""
    input_frame_ms: int = Field(20, ge=10, le=50)
    """Length of the frames of the caller's audio, in milliseconds. Half of one is waited for on
    average; 10 saves 5 ms and costs CPU."""
    aec_warmup_s: float = Field(0.0, ge=0, le=10)
    """Time at the start of the agent's first speech during which it cannot be interrupted."""


class Price(BaseModel):
    """What one model costs, in USD. Leave out what it does not charge for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stt_minute: float = Field(0.0, ge=0)
    """A minute of audio that is transcribed."""
    llm_in_million: float = Field(0.0, ge=0)
    """A million input tokens that were not cached."""
    llm_cached_million: float | None = Field(None, ge=0)
    """A million input tokens from the cache; not given: as any other input."""
    llm_out_million: float = Field(0.0, ge=0)
    """A million output tokens."""
    tts_million_chars: float = Field(0.0, ge=0)
    """A million characters that are spoken."""


class WebSettings(BaseSettings):
    """The token endpoint of `python agent.py web`."""

    model_config = SettingsConfigDict(env_prefix="AGENT_WEB_", env_file=".env", extra="ignore")

    livekit_url: str = ""
    """The media server as browsers reach it; empty: `LIVEKIT_URL`."""
    token_ttl_s: int = Field(600, ge=30, le=600)
    """Time to join with a token, in seconds; the server renews it for those who are in."""
    resume_ttl_s: int = Field(1800, ge=30, le=86400)
    """Time for which a page that was reloaded may come back to its room, in seconds."""
    agent_timeout_s: int = Field(15, ge=1, le=120)
    """Time after which the page says that no agent has come, in seconds."""
    tokens_per_minute: int = Field(10, ge=1, le=10_000)
    """Tokens an address can get in a minute."""
    max_body_bytes: int = Field(4096, ge=256, le=1_048_576)
    allowed_origins: str = ""
    """Sites whose pages may embed the widget, comma-separated, as in https://shop.example."""
    behind_proxy: bool = False
    """Whether a reverse proxy of ours adds the caller's address to X-Forwarded-For."""

    @property
    def origins(self) -> frozenset[str]:
        """`allowed_origins`, one by one."""
        return frozenset(o.strip().rstrip("/") for o in self.allowed_origins.split(",") if o)


class Settings(Accounts):
    """All settings of a worker. See `.env.example` for the same list with comments."""

    livekit_url: str = Field("ws://127.0.0.1:7880", alias="LIVEKIT_URL")
    livekit_api_key: str = Field(DEV_API_KEY, alias="LIVEKIT_API_KEY")
    livekit_api_secret: SecretStr = Field(SecretStr(DEV_API_SECRET), alias="LIVEKIT_API_SECRET")

    stt: Chain = Field("aigateway:deepgram/nova-3", alias="AGENT_STT")
    llm: Chain = Field("aigateway:moonshot/kimi-k2.6", alias="AGENT_LLM")
    tts: Chain = Field("aigateway:elevenlabs/eleven-turbo-v3:rachel", alias="AGENT_TTS")

    realtime: Annotated[str, AfterValidator(_realtime)] = Field("", alias="AGENT_REALTIME")
    """One model for a whole call, `provider:template[:transport]`; empty: the three chains."""
    llm_max_tokens: int = Field(0, ge=0, le=100_000, alias="AGENT_LLM_MAX_TOKENS")
    """Longest answer of the language model, in tokens; 0: as the provider has it."""
    keyterms: Annotated[list[str], NoDecode, BeforeValidator(_bar_separated)] = Field(
        default_factory=list, alias="AGENT_KEYTERMS"
    )
    """Words that callers will say and a recogniser may not know, separated by |. What tools find
    in a call, such as the name of a product, is added to them."""
    allow_interrupt: bool = Field(True, alias="AGENT_ALLOW_INTERRUPT")
    """Whether callers can speak over the agent; off, nobody is heard while it speaks."""

    agent_name: str = Field("", alias="AGENT_NAME")
    """Name for explicit dispatch; empty: the worker joins every new room."""
    language: str = Field("en", alias="AGENT_LANGUAGE")
    vad: Literal["native", "plugin"] = Field("native", alias="AGENT_VAD")
    """Silero through livekit-local-inference, or through livekit-plugins-silero (twice the CPU)."""
    store_path: Path = Field(Path(".parley/store.db"), alias="AGENT_STORE")
    phrases_path: Path = Field(Path(".parley/phrases"), alias="AGENT_PHRASES")
    """Folder for the audio of fixed phrases."""
    customer_email: str = Field("peter@example.com", alias="AGENT_CUSTOMER_EMAIL")
    """Account the tools act on until the caller gives an e-mail address; empty: always ask."""
    greeting: str = Field(
        "Hi, this is Parley. I can look up an order, check your calendar or book a flight. "
        "What can I do for you?",
        alias="AGENT_GREETING",
    )
    realtime_greeting: str = Field(
        "Hi, this is Parley. What would you like to talk about?", alias="AGENT_REALTIME_GREETING"
    )
    """The greeting with a realtime model, which has no tools."""
    farewell: str = Field("Thanks for calling. Goodbye!", alias="AGENT_FAREWELL")
    openers: Annotated[list[str], NoDecode, BeforeValidator(_bar_separated)] = Field(
        default_factory=lambda: list(DEFAULT_OPENERS), alias="AGENT_OPENERS"
    )
    """First words whose audio is kept, separated by |; the model is told to begin with one where it
    fits. Empty: none."""
    history_items: int = Field(24, ge=4, le=400, alias="AGENT_HISTORY_ITEMS")
    """Messages and tool calls that the model sees in full; older ones are summarised."""
    max_calls: int = Field(0, ge=0, le=1000, alias="AGENT_MAX_CALLS")
    """Calls this worker takes at once; 0: as many as the CPU allows."""
    drain_timeout_s: int = Field(1800, ge=0, alias="AGENT_DRAIN_TIMEOUT_S")
    """Time that calls in progress get to finish after SIGTERM."""
    health_port: int = Field(8081, ge=0, le=65535, alias="AGENT_HEALTH_PORT")
    """Port of the worker's health page under `start`; 0: any free one."""
    metrics_port: int = Field(0, ge=0, le=65535, alias="AGENT_METRICS_PORT")
    """Port of the Prometheus page; 0: none."""
    metrics_path: Path = Field(Path(".parley/metrics"), alias="AGENT_METRICS")
    """Folder through which job processes hand their metrics to that page; emptied at the start."""
    caller_return_s: float = Field(20.0, ge=1, le=300, alias="AGENT_CALLER_RETURN_S")
    """Time that the agent waits for a page that lost its connection or was reloaded, in seconds."""
    welcome_back: str = Field("I am still here. Please go on.", alias="AGENT_WELCOME_BACK")
    """Said to a caller who came back; empty: nothing."""
    text_max_chars: int = Field(2000, ge=1, le=100_000, alias="AGENT_TEXT_MAX_CHARS")
    """Characters of a typed message; the rest is cut off."""
    prices: dict[str, Price] = Field(default_factory=dict, alias="AGENT_PRICES")
    """What models cost, by their name, as JSON: {"deepgram/nova-3": {"stt_minute": 0.01}}."""
    turn: TurnSettings = Field(default_factory=TurnSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    phone: PhoneSettings = Field(default_factory=PhoneSettings)
    guard: GuardSettings = Field(default_factory=GuardSettings)
    chain: ChainSettings = Field(default_factory=ChainSettings)

    @property
    def stt_routes(self) -> list[Route]:
        """The speech-to-text chain, primary first."""
        return parse_chain(self.stt)

    @property
    def llm_routes(self) -> list[Route]:
        """The language model chain, primary first."""
        return parse_chain(self.llm)

    @property
    def tts_routes(self) -> list[Route]:
        """The text-to-speech chain, primary first."""
        return parse_chain(self.tts)

    @property
    def realtime_route(self) -> RealtimeRoute | None:
        """The realtime model; None: the three chains."""
        return parse_realtime(self.realtime) if self.realtime else None

    @property
    def hears_stretches(self) -> bool:
        """Whether speech is sent a stretch at a time, when it is over, so that words come late."""
        return bool(self.realtime) or self.stt_routes[0].provider in SEGMENTED_PROVIDERS

    @property
    def false_interruption_timeout_s(self) -> float:
        """Silence after which a paused reply goes on; as set, else by how late words come."""
        by_ability_s = _LATE_WORDS_S if self.hears_stretches else _PROMPT_WORDS_S
        return self.turn.false_interruption_timeout_s or by_ability_s

    @property
    def browser_livekit_url(self) -> str:
        """The media server's address for browsers."""
        return self.web.livekit_url or self.livekit_url

    @property
    def providers(self) -> list[str]:
        """Everybody who is asked in a call, each once.

        Of the chains, a realtime model leaves the voice, for what the agent says by itself, and on
        a websocket the ears, which tell what the caller said.
        """
        routes: list[Route | RealtimeRoute] = [*self.tts_routes]
        if route := self.realtime_route:
            routes.append(route)
        else:
            routes += self.llm_routes
        if route is None or route.transport == "websocket":
            routes += self.stt_routes
        return list(dict.fromkeys(route.provider for route in routes))

    def has_inference_account(self) -> bool:
        """Whether LiveKit Inference can be asked: with its own key, or LiveKit Cloud's."""
        return _is_set(self.inference_api_secret) or not self.uses_dev_credentials()

    def has_gateway_account(self) -> bool:
        """Whether a key of the real gateway is set."""
        return _is_set(self.aigateway_api_key)

    def uses_dev_credentials(self) -> bool:
        """Whether the media server's key or secret is the publicly known development one."""
        return (
            self.livekit_api_key == DEV_API_KEY
            or self.livekit_api_secret.get_secret_value() == DEV_API_SECRET
        )


_KEY_VARIABLES = {
    "aigateway": ("aigateway_api_key", "AIGATEWAY_API_KEY"),
    "gateflow": ("gateflow_api_key", "GATEFLOW_API_KEY"),
    "deepgram": ("deepgram_api_key", "DEEPGRAM_API_KEY"),
    "openai": ("openai_api_key", "OPENAI_API_KEY"),
    "elevenlabs": ("eleven_api_key", "ELEVEN_API_KEY"),
}

_KEYLESS_HELP = (
    "No account? Run `make demo`, or start the local gateway with `python -m gateway` and set "
    "AGENT_STT=local:whisper-tiny.en AGENT_LLM=local:brain AGENT_TTS=local:piper-joe."
)


def load_settings() -> Settings:
    """Read and validate the settings.

    Raises:
        ConfigError: A value is invalid; the message names the variable but never shows its value.
    """
    try:
        return Settings()
    except ValidationError as e:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
            for error in e.errors(include_input=False)
        )
        raise ConfigError(f"Invalid settings: {problems}. See .env.example.") from None


def missing_keys(settings: Settings) -> dict[str, str]:
    """The keys that the providers in use lack: variable to provider."""
    missing = {
        variable: provider
        for provider in settings.providers
        if (known := _KEY_VARIABLES.get(provider))
        for attribute, variable in [known]
        if not _is_set(getattr(settings, attribute))
    }
    if "inference" in settings.providers and not settings.has_inference_account():
        missing |= {"LIVEKIT_INFERENCE_API_SECRET": "inference"}
    return missing


def require_keys(settings: Settings) -> None:
    """Check that every provider that is used has its key.

    Raises:
        ConfigError: A key is missing; the message names it and says how to go on without it.
    """
    if missing := missing_keys(settings):
        names = " and ".join(f"{name} (for {provider})" for name, provider in missing.items())
        raise ConfigError(
            f"{names} is not set. Put it into .env (start from .env.example). {_KEYLESS_HELP}"
        )


def revealed(secret: SecretStr | None) -> str:
    """A secret as a plugin wants it; empty when it is not set."""
    return secret.get_secret_value() if secret else ""


def _is_set(secret: SecretStr | None) -> bool:
    return bool(revealed(secret).strip())
