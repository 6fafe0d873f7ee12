"""Chat completions through a gateway: the openai plugin's LLM, with one retry loop.

What is added to ``livekit.plugins.openai.LLM``: a client that does not follow redirects and does
not retry, a connection that is kept warm, and the stream of ``llm_stream``. LiveKit's own loop does
the retries.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import openai

# The client imports this with its first request: 60 ms of a caller's first turn.
import openai.resources.chat.chat
from livekit.agents import APIConnectOptions, llm
from livekit.agents.llm import ChatContext, ToolChoice
from livekit.agents.llm import utils as llm_utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.plugins.openai.llm import LLM as OpenAILLM

from .faults import FaultLog
from .keys import Key, KeyRing
from .limits import LLMTimeouts
from .llm_stream import LLMStream
from .plain_client import PlainClient
from .retry import JitteredConnectOptions
from .schemas import ToolContext
from .url import Account, resolve_base_url, resolve_keys

_KEEP_ALIVE_S = 120.0
_PREWARM_TIMEOUT_S = 5.0
_IDLE_S = 15.0
"""Servers and what stands before them close idle connections; 15 s is sooner than any does."""

_FORWARDED_OPTIONS = (
    "extra_body",
    "extra_headers",
    "extra_query",
    "user",
    "temperature",
    "top_p",
    "max_completion_tokens",
    "reasoning_effort",
)
"""Options of the base class that are sent with a request as they are, when given."""


@dataclass
class LLMStats:
    """What an ``LLM`` and its streams have met. Counts only ever grow."""

    requests: int = 0
    """Attempts, retries included."""
    truncated: int = 0
    """Streams that ended without a finish reason or inside a tool call."""
    retry_after_honoured: int = 0
    """Waits that a Retry-After header asked for."""


class GatewayLLM(OpenAILLM):
    """Base class of the plugins' ``LLM``.

    Args:
        account: Whose model this is.
        headers: Added to every request; the openai client sets ``Authorization`` itself.
        model: Model slug.
        base_url: Defaults to the account's.
        api_key: Defaults to the account's; several, separated by commas, are used in turn, and a
            ``KeyRing`` is shared with the plugins that are given the same one.
        temperature: Sampling temperature.
        top_p: Nucleus sampling.
        max_completion_tokens: Longest answer, in tokens.
        parallel_tool_calls: Whether the model may call several tools at once.
        tool_choice: Whether and which tool must be called.
        extra_body: Members added to every request.
        user: An opaque id of the end user.
        strict_tool_schema: Send tool schemas in OpenAI's strict form.
        timeouts: The total deadline; the wait for each chunk is ``conn_options.timeout``.
        http_client: Defaults to a client of its own that does not follow redirects.

    Raises:
        ValueError: There is no key.
    """

    def __init__(
        self,
        *,
        account: Account,
        headers: Mapping[str, str],
        model: str,
        base_url: NotGivenOr[str],
        api_key: NotGivenOr[str | KeyRing],
        temperature: NotGivenOr[float],
        top_p: NotGivenOr[float],
        max_completion_tokens: NotGivenOr[int],
        parallel_tool_calls: NotGivenOr[bool],
        tool_choice: NotGivenOr[ToolChoice],
        extra_body: NotGivenOr[dict[str, Any]],
        user: NotGivenOr[str],
        strict_tool_schema: bool,
        timeouts: LLMTimeouts,
        http_client: httpx.AsyncClient | None,
    ) -> None:
        self._owns_http_client = http_client is None
        self._keys = resolve_keys(api_key, account)
        client = openai.AsyncClient(
            api_key=self._keys.take().secret,
            base_url=resolve_base_url(base_url, account),
            max_retries=0,  # the framework's loop is the only one
            http_client=http_client or _new_http_client(),
        )
        super().__init__(
            model=model,
            client=client,
            temperature=temperature,
            top_p=top_p,
            max_completion_tokens=max_completion_tokens,
            parallel_tool_calls=parallel_tool_calls,
            tool_choice=tool_choice,
            extra_body=extra_body,
            extra_headers=dict(headers),
            user=user,
            _strict_tool_schema=strict_tool_schema,
        )
        self.stats = LLMStats()
        self.faults = FaultLog(stage="llm", provider=account.name)
        """The faults that requests have met, healed ones included."""
        self._account = account
        self._timeouts = timeouts
        self._used_at = float("-inf")
        self._clients: dict[int, openai.AsyncClient] = {}

    @property
    def provider(self) -> str:
        """The gateway, which is who is asked and who is paid."""
        return self._account.name

    def update_options(
        self,
        *,
        model: NotGivenOr[str] = NOT_GIVEN,
        temperature: NotGivenOr[float] = NOT_GIVEN,
        top_p: NotGivenOr[float] = NOT_GIVEN,
        max_completion_tokens: NotGivenOr[int] = NOT_GIVEN,
        tool_choice: NotGivenOr[ToolChoice] = NOT_GIVEN,
    ) -> None:
        """Change options from the next request on."""
        if is_given(model):
            self._opts.model = model
        if is_given(temperature):
            self._opts.temperature = temperature
        if is_given(top_p):
            self._opts.top_p = top_p
        if is_given(max_completion_tokens):
            self._opts.max_completion_tokens = max_completion_tokens
        if is_given(tool_choice):
            self._opts.tool_choice = tool_choice

    def chat(
        self,
        *,
        chat_ctx: ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[ToolChoice] = NOT_GIVEN,
        response_format: NotGivenOr[Any] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> LLMStream:
        """Ask for a completion.

        Args:
            chat_ctx: The conversation.
            tools: What the model may call.
            conn_options: Retries, and the longest wait for each chunk.
            parallel_tool_calls: Overrides the constructor's.
            tool_choice: Overrides the constructor's.
            response_format: A schema that the answer must follow.
            extra_kwargs: Passed to the openai client; ``extra_headers`` adds headers.
        """
        extra: dict[str, Any] = dict(extra_kwargs) if is_given(extra_kwargs) else {}
        for name in _FORWARDED_OPTIONS:
            value = getattr(self._opts, name)
            if is_given(value):
                extra[name] = {**value, **extra.get(name, {})} if isinstance(value, dict) else value
        parallel = (
            parallel_tool_calls if is_given(parallel_tool_calls) else self._opts.parallel_tool_calls
        )
        if is_given(parallel):
            extra["parallel_tool_calls"] = parallel
        choice = tool_choice if is_given(tool_choice) else self._opts.tool_choice
        if is_given(choice):
            extra["tool_choice"] = _openai_tool_choice(choice)
        if is_given(response_format):
            extra["response_format"] = llm_utils.to_openai_response_format(response_format)
        stream = LLMStream(
            self,
            model=self._opts.model,
            provider_fmt=self._provider_fmt,
            strict_tool_schema=self._strict_tool_schema,
            client=PlainClient.of(self._client),
            chat_ctx=chat_ctx,
            tools=tools or [],
            conn_options=JitteredConnectOptions.of(conn_options),
            extra_kwargs=extra,
        )
        stream._tool_ctx = ToolContext(tools or [])
        return stream

    async def aclose(self) -> None:
        """Close every connection."""
        await super().aclose()
        if self._owns_http_client:
            await self._client.close()

    def keep_warm(self) -> None:
        """Use the connection if it has been idle for long: when the caller begins to speak, say.

        What a closed connection costs is then paid before the request that somebody waits for.
        """
        idle_s = time.monotonic() - self._used_at
        if idle_s >= _IDLE_S and (self._prewarm_task is None or self._prewarm_task.done()):
            self._prewarm_task = None
            self.prewarm()

    async def _prewarm_impl(self) -> None:
        self._used_at = time.monotonic()
        if self._keys.pacer is not None:
            await self._keys.pacer.wait(within_s=_PREWARM_TIMEOUT_S)
        client = self._client_of(self._keys.take())
        # whether the gateway lists its models does not matter: the connection is what is wanted
        await client.with_options(timeout=_PREWARM_TIMEOUT_S).models.list()

    def _client_of(self, key: Key) -> openai.AsyncClient:
        """The client that asks with this key; all of them share the connections."""
        if key.index not in self._clients:
            self._clients[key.index] = self._client.with_options(api_key=key.secret)
        return self._clients[key.index]


def _new_http_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        # every request sets its own; these bound the prewarm
        timeout=httpx.Timeout(_PREWARM_TIMEOUT_S),
        # a redirect would carry the conversation to an address nobody configured
        follow_redirects=False,
        event_hooks={"request": [_drop_framework_headers]},
        limits=httpx.Limits(
            max_connections=50, max_keepalive_connections=50, keepalive_expiry=_KEEP_ALIVE_S
        ),
    )


async def _drop_framework_headers(request: httpx.Request) -> None:
    """Remove what the framework adds for its own gateway: room, job and, if set, worker token."""
    for name in [name for name in request.headers if name.startswith("x-livekit-")]:
        del request.headers[name]


def _openai_tool_choice(choice: ToolChoice) -> Any:
    if isinstance(choice, dict):
        return {"type": "function", "function": {"name": choice["function"]["name"]}}
    return choice
