"""Chat completions through a gateway: the openai plugin's LLM, with one retry loop.

What is added to ``livekit.plugins.openai.LLM``: a client that does not follow redirects and does
not retry, a deadline that a dripping response cannot outlive, and a verdict for every way in
which a stream can break off. LiveKit's own loop does the retries.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import openai

# The client imports this with its first request: 60 ms of a caller's first turn.
import openai.resources.chat.chat
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    llm,
)
from livekit.agents.llm import ChatContext, ToolChoice
from livekit.agents.llm import utils as llm_utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given
from livekit.plugins.openai.llm import LLM as OpenAILLM
from livekit.plugins.openai.llm import LLMStream as OpenAILLMStream
from openai.types.chat.chat_completion_chunk import Choice

from .errors import ProtocolError, from_status
from .faults import FaultKind, FaultLog
from .limits import LLMTimeouts
from .retry import JitteredConnectOptions
from .url import Account, resolve_api_key, resolve_base_url

_KEEP_ALIVE_S = 120.0
_PREWARM_TIMEOUT_S = 5.0
_IDLE_S = 15.0
"""Servers and what stands before them close idle connections; 15 s is sooner than any does."""

_MAX_KNOWN_SCHEMAS = 16
"""Sets of tools; an agent has one, and its tools are the same objects in each request."""
_Schemas = dict[tuple[object, ...], list[dict[str, Any]]]

_LONGEST_CAUSE_CHAIN = 10
"""openai, httpx, httpcore and anyio each wrap the error below; chains can be circular."""

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
        api_key: Defaults to the account's.
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
        api_key: NotGivenOr[str],
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
        client = openai.AsyncClient(
            api_key=resolve_api_key(api_key, account),
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
        self._schemas: _Schemas = {}

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
            client=self._client,
            chat_ctx=chat_ctx,
            tools=tools or [],
            conn_options=JitteredConnectOptions.of(conn_options),
            extra_kwargs=extra,
        )
        stream._tool_ctx = _ToolContext(tools or [], known=self._schemas)
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
        # whether the gateway lists its models does not matter: the connection is what is wanted
        await self._client.with_options(timeout=_PREWARM_TIMEOUT_S).models.list()


class LLMStream(OpenAILLMStream):
    """Made by :meth:`GatewayLLM.chat`."""

    _attempts = 0

    async def _run(self) -> None:
        owner = self._owner
        owner.stats.requests += 1
        owner._used_at = time.monotonic()
        if self._attempts == 0:
            self._begun_at = time.monotonic()
        self._attempts += 1
        self._begun = False  # set by the first piece of an answer
        self._finished = False  # set by a finish reason: the answer is whole
        try:
            await self._run_bounded()
        except APIError as exc:
            lost = self._begun and not isinstance(exc, APITimeoutError)
            cut_short = lost or self._answered
            error = await self._judge(exc)
        else:
            if self._finished:
                return
            # a connection that ends cleanly in the middle of an answer is no answer
            cut_short = True
            error = ProtocolError(
                "the completion ended without a finish reason", retryable=not self._answered
            )
        if cut_short:
            owner.stats.truncated += 1
            owner.faults.note(FaultKind.TRUNCATED)
        else:
            owner.faults.note_error(error)
        raise error from None

    @property
    def _owner(self) -> GatewayLLM:
        assert isinstance(self._llm, GatewayLLM)
        return self._llm

    @property
    def _answered(self) -> bool:
        """Whether text or a tool call has gone out; from then on, nothing may be asked again."""
        return self._event_ch.output_sent

    async def _run_bounded(self) -> None:
        """Run the request under deadlines that single bytes cannot push back."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._owner._timeouts.total_s
        chunk_due = loop.time() + self._conn_options.timeout
        try:
            async with asyncio.timeout_at(min(ends_at, chunk_due)) as self._deadline:
                self._ends_at = ends_at
                await super()._run()
        except TimeoutError:
            error = APITimeoutError("gateway completion timed out", retryable=not self._answered)
        else:
            return
        raise error from None

    def _parse_choice(
        self, id: str, choice: Choice, thinking_filter: llm_utils.ThinkingTokenFilter
    ) -> llm.ChatChunk | None:
        """Note progress, then parse as the base class does."""
        self._begun = True
        now = asyncio.get_running_loop().time()
        self._deadline.reschedule(min(self._ends_at, now + self._conn_options.timeout))
        chunk = super()._parse_choice(id, choice, thinking_filter)
        if chunk is not None and chunk.delta is not None:
            for call in chunk.delta.tool_calls:
                _require_json_object(call.arguments)
        if choice.finish_reason is not None:
            # "length" cuts a tool call off, and the base class then drops it without a word
            self._finished = self._tool_call_id is None
        return chunk

    async def _judge(self, error: APIError) -> APIError:
        """The same failure without what a server or a URL may have put into it."""
        retryable = error.retryable and not self._answered
        if isinstance(error, APIStatusError):
            mapped: APIError = from_status(
                error.status_code, what="completion", request_id=error.request_id
            )
            mapped.retryable = mapped.retryable and retryable
            if mapped.retryable:
                await self._honour_retry_after(mapped, _retry_after_s(error))
            return mapped
        if isinstance(error, APITimeoutError):
            return APITimeoutError("gateway completion timed out", retryable=retryable)
        if isinstance(error, APIConnectionError):
            cause = error.__cause__
            name = type(cause).__name__ if cause is not None else "unknown"
            final = _is_tls_error(cause)
            return APIConnectionError(
                f"gateway completion failed ({name})", retryable=retryable and not final
            )
        return APIError("gateway completion failed", retryable=retryable)

    async def _honour_retry_after(self, error: APIError, wait_s: float | None) -> None:
        """Wait as asked, or give up at once when a caller cannot be kept waiting so long."""
        if wait_s is None or self._attempts > self._conn_options.max_retry:
            return
        elapsed = time.monotonic() - self._begun_at
        if elapsed + wait_s > self._conn_options.timeout:
            error.retryable = False
            return
        self._owner.stats.retry_after_honoured += 1
        await asyncio.sleep(wait_s)


class _ToolContext(llm.ToolContext):
    """Tools whose schemas are written once: that takes some 4 ms a tool, with every request.

    Args:
        tools: What the model may call.
        known: Schemas written so far, by their tools; shared by the requests of an ``LLM``.
    """

    def __init__(self, tools: list[llm.Tool], *, known: _Schemas) -> None:
        super().__init__(tools)
        self._known = known

    def parse_function_tools(self, format: Any, **kwargs: Any) -> Any:
        """The tools' schemas."""
        key = (format, *kwargs.items(), *self.function_tools.values())
        if key not in self._known:
            if len(self._known) >= _MAX_KNOWN_SCHEMAS:
                self._known.clear()
            self._known[key] = super().parse_function_tools(format, **kwargs)
        return self._known[key]


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


def _require_json_object(arguments: str) -> None:
    """Refuse tool arguments that broke off.

    Raises:
        ProtocolError: They are not a JSON object.
    """
    try:
        whole = isinstance(json.loads(arguments or "{}"), dict)
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise ProtocolError("the arguments of a tool call are not a JSON object")


def _retry_after_s(error: APIStatusError) -> float | None:
    """Seconds of a ``Retry-After`` header; ``None`` when there is none or it is no such number.

    The framework drops the response when it converts the openai client's error, which stays the
    context of its own.
    """
    context = error.__context__
    if not isinstance(context, openai.APIStatusError):
        return None
    headers: Mapping[str, str] = context.response.headers
    value = headers.get("retry-after", "").strip()
    # digits only: a date, a sign or a fraction is treated as if the header were absent
    return float(value) if value.isascii() and value.isdigit() and len(value) < 8 else None


def _is_tls_error(error: BaseException | None) -> bool:
    """Whether a connection failed for a certificate or the lack of TLS: no retry changes that."""
    for _ in range(_LONGEST_CAUSE_CHAIN):
        if error is None or isinstance(error, ssl.SSLError):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, ssl.SSLError)
