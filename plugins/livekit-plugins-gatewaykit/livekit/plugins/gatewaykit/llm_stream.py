"""One completion: a deadline that a dripping response cannot outlive, and a verdict for its end."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import openai
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError, llm
from livekit.agents.llm import utils as llm_utils
from livekit.plugins.openai.llm import LLMStream as OpenAILLMStream
from openai.types.chat.chat_completion_chunk import Choice

from .errors import PacedOutError, ProtocolError, from_status, retry_after_of
from .faults import FaultKind
from .keys import Key
from .plain_client import PlainClient
from .retry import spread

if TYPE_CHECKING:
    from .llm import GatewayLLM

_LONGEST_CAUSE_CHAIN = 10
"""openai, httpx, httpcore and anyio each wrap the error below; chains can be circular."""


class LLMStream(OpenAILLMStream):
    """Made by :meth:`GatewayLLM.chat`."""

    _attempts = 0

    async def _run(self) -> None:
        if self._attempts == 0:
            self._begun_at = time.monotonic()
        self._attempts += 1
        try:
            await self._owner._keys.use(self._ask, within_s=self._conn_options.timeout)
        except PacedOutError as error:
            self._owner.faults.note_error(error)
            raise
        except APIError as error:
            wait_s = retry_after_of(error)
            if wait_s is not None and error.retryable:
                await self._honour_retry_after(error, wait_s)
            raise

    async def _ask(self, key: Key, _: float) -> None:
        """One request, with one key.

        Raises:
            APIError: It failed.
        """
        owner = self._owner
        owner.stats.requests += 1
        owner._used_at = time.monotonic()
        self._client = PlainClient.of(owner._client_of(key))
        self._begun = False  # set by the first piece of an answer
        self._finished = False  # set by a finish reason: the answer is whole
        try:
            await self._run_bounded()
        except APIError as exc:
            lost = self._begun and not isinstance(exc, APITimeoutError)
            cut_short = lost or self._answered
            error = self._judge(exc)
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
        return cast("GatewayLLM", self._llm)

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

    def _judge(self, error: APIError) -> APIError:
        """The same failure without what a server or a URL may have put into it."""
        retryable = error.retryable and not self._answered
        if isinstance(error, APIStatusError) and not self._answered:
            mapped: APIError = from_status(
                error.status_code,
                what="completion",
                request_id=error.request_id,
                headers=_headers_of(error),
            )
            mapped.retryable = mapped.retryable and retryable
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

    async def _honour_retry_after(self, error: APIError, wait_s: float) -> None:
        """Wait as asked, or give up at once when a caller cannot be kept waiting so long."""
        if self._attempts > self._conn_options.max_retry:
            return
        elapsed = time.monotonic() - self._begun_at
        if elapsed + wait_s > self._conn_options.timeout:
            error.retryable = False
            return
        self._owner.stats.retry_after_honoured += 1
        await asyncio.sleep(spread(wait_s, most_s=self._conn_options.timeout - elapsed))


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


def _headers_of(error: APIError) -> Mapping[str, str] | None:
    """The headers of a refusal.

    The framework drops the response when it converts the openai client's error, which stays the
    context of its own.
    """
    context = error.__context__
    return context.response.headers if isinstance(context, openai.APIStatusError) else None


def _is_tls_error(error: BaseException | None) -> bool:
    """Whether a connection failed for a certificate or the lack of TLS: no retry changes that."""
    for _ in range(_LONGEST_CAUSE_CHAIN):
        if error is None or isinstance(error, ssl.SSLError):
            break
        error = error.__cause__ or error.__context__
    return isinstance(error, ssl.SSLError)
