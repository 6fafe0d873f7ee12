"""Language models in a chain: when one dies, even in the middle of a sentence, the next goes on.

Built on the framework's adapter, of which the events, spans and labels are kept. What it loses is
done here: it gives an answer up once some of it was said, it waits 5 s for each model, and it asks
a model again for a turn whose tool has been called. Here an answer that broke off is gone on with
by the next route (see `agent.chain.continuation`); one that has called a tool ends there, because
the tool is running: the model is asked again with its result, by whichever route then serves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

from livekit.agents import APIConnectOptions, APIError, APITimeoutError, llm
from livekit.agents.llm.fallback_adapter import (
    AvailabilityChangedEvent,
    FallbackLLMStream,
    _provider_attr,
)
from livekit.agents.metrics import LLMMetrics
from livekit.agents.telemetry import trace_types
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import shortuuid
from livekit.plugins.gatewaykit.llm import GatewayLLM

from .continuation import Continuation, continued
from .members import Members, as_api_error
from .race import Starter, in_turn
from .route import ChainRoute, NoRouteError
from .settings import ChainSettings

Model: TypeAlias = llm.LLM[Any]

_PROBE = "Say OK."
_ROUNDS = 2
"""How often all routes are asked before the answer is given up, while nothing was said."""


class EmptyAnswerError(APIError):
    """A model ended without a word and without a tool call."""

    def __init__(self) -> None:
        super().__init__("the model answered nothing", retryable=True)


class ChainLLM(llm.FallbackAdapter):
    """A chain of language models; one alone is asked directly.

    Args:
        routes: Primary first.
        waits: How long each is waited for.
        starter: How a request's routes are started.
    """

    def __init__(
        self,
        routes: Sequence[ChainRoute[Model]],
        *,
        waits: ChainSettings,
        starter: Starter = in_turn,
    ) -> None:
        super().__init__(
            [route.plugin for route in routes],
            attempt_timeout=waits.llm_s,
            max_retry_per_llm=0,
        )
        self.members = Members(routes, waits=waits, probe=_probe)
        for route in routes:
            route.on_change = partial(self._on_availability, route)
        self.starter = starter
        if only := self.members.only:
            only.plugin.on("error", self._on_error)
            only.plugin.on("metrics_collected", self._on_metrics)

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """Ask for a completion; see `livekit.agents.llm.LLM.chat`.

        Raises:
            NoRouteError: The only route is left alone for now.
        """
        options: dict[str, Any] = {
            "tools": tools or [],
            "parallel_tool_calls": parallel_tool_calls,
            "tool_choice": tool_choice,
            "extra_kwargs": extra_kwargs,
        }
        if only := self.members.only:
            if not only.begin():
                raise NoRouteError("llm")
            stream = only.plugin.chat(chat_ctx=chat_ctx, conn_options=conn_options, **options)
            stream._task.add_done_callback(lambda _: only.abandoned())  # unless it told an outcome
            return stream
        once = dataclasses.replace(conn_options, max_retry=min(conn_options.max_retry, _ROUNDS - 1))
        return ChainLLMStream(self, chat_ctx=chat_ctx, conn_options=once, **options)

    def keep_warm(self) -> None:
        """Use the connection of the route that is asked next, if it has been idle for long."""
        plugin = self.members.first.plugin
        if isinstance(plugin, GatewayLLM):
            plugin.keep_warm()

    async def aclose(self) -> None:
        """Close the routes' connections."""
        await self.members.aclose()
        await super().aclose()
        for route in self.members.routes:
            await route.plugin.aclose()

    def _on_availability(self, route: ChainRoute[Model], available: bool) -> None:
        self.emit(
            "llm_availability_changed",
            AvailabilityChangedEvent(llm=route.plugin, available=available),
        )

    def _next_instance(self) -> Model:
        return self.members.first.plugin

    def _on_error(self, event: llm.LLMError) -> None:
        """An attempt of the only route has failed."""
        if isinstance(event.error, APIError):
            self.members.routes[0].failed(event.error)
        self.emit("error", event)

    def _on_metrics(self, _: LLMMetrics) -> None:
        """The only route has answered."""
        self.members.routes[0].served()
        self.members.serves(self.members.routes[0])


class ChainLLMStream(FallbackLLMStream):
    """Made by `ChainLLM.chat`."""

    _fallback_adapter: ChainLLM

    async def _run(self) -> None:
        self._said = ""
        self._called_tool = False
        tried: list[_Attempt] = []
        error: APIError | None = None
        while not self._called_tool:
            routes = self._fallback_adapter.members.to_ask(but=[a.asked for a in tried])
            if not routes:
                raise error or NoRouteError("llm")
            winner = await self._begin(routes, tried)
            try:
                await self._answer(winner)
                return
            except APIError as e:
                error = e

    async def _begin(self, routes: Sequence[ChainRoute[Model]], tried: list[_Attempt]) -> _Attempt:
        """Start an answer, or the rest of one; whoever was asked for it is added to `tried`."""
        adapter = self._fallback_adapter
        attempts = [
            _Attempt(route, adapter.members, ask=self._ask, goes_on=bool(self._said.strip()))
            for route in routes
        ]
        try:
            winner = await adapter.starter(attempts)
        finally:
            tried += [attempt for attempt in attempts if attempt.begun]
        assert isinstance(winner, _Attempt)
        failures = [(a.asked, a.error) for a in tried if a.error is not None and not a.told]
        adapter.members.switched(failures, winner.asked)
        for attempt in tried:
            attempt.told = True
        self._note_serving(winner.asked)
        return winner

    def _ask(self, route: ChainRoute[Model]) -> llm.LLMStream:
        """Ask a route for the answer, or for what is missing of it."""
        context = self._chat_ctx
        if self._said.strip():
            context = continued(context, self._said)
        return route.plugin.chat(
            chat_ctx=context,
            tools=self._tools,
            parallel_tool_calls=self._parallel_tool_calls,
            tool_choice=self._tool_choice,
            extra_kwargs=self._extra_kwargs,
            conn_options=dataclasses.replace(
                self._conn_options, max_retry=0, timeout=self._fallback_adapter._attempt_timeout
            ),
        )

    async def _answer(self, attempt: _Attempt) -> None:
        """Pass on what a route writes.

        Raises:
            APIError: It broke off.
        """
        joined = Continuation(self._said)
        async with aclosing(attempt.chunks()) as chunks:
            async for chunk in chunks:
                self._pass_on(chunk, joined)
        self._say(joined.end())

    def _pass_on(self, chunk: llm.ChatChunk, joined: Continuation) -> None:
        delta = chunk.delta
        if delta is None:
            self._event_ch.send_nowait(chunk)
            return
        text = joined.push(delta.content) if delta.content else ""
        if delta.tool_calls:
            self._called_tool = True
            text += joined.end()
        self._said += text
        if text or not delta.content:
            told = delta if text == delta.content else _with_content(delta, text)
            self._event_ch.send_nowait(chunk.model_copy(update={"delta": told}))

    def _say(self, text: str) -> None:
        if text:
            self._said += text
            delta = llm.ChoiceDelta(role="assistant", content=text)
            self._event_ch.send_nowait(llm.ChatChunk(id=shortuuid("chain_"), delta=delta))

    def _note_serving(self, route: ChainRoute[Model]) -> None:
        """Tell metrics, spans and listeners who serves, as the framework's adapter does."""
        adapter, model = self._fallback_adapter, route.plugin
        adapter._active_instance = model
        adapter.members.serves(route)
        served = {trace_types.ATTR_GEN_AI_RESPONSE_MODEL: model.model, **_provider_attr(model)}
        self._caller_span.set_attributes(served)
        if self._llm_request_span is not None:
            self._llm_request_span.set_attributes(
                {trace_types.ATTR_FALLBACK_LABEL: route.name, **served}
            )


class _Attempt:
    """See `agent.chain.race.Attempt`.

    Args:
        route: Who is asked.
        members: The chain.
        ask: Makes the request.
        goes_on: Whether it goes on with an answer, to which there may be nothing to add.
    """

    def __init__(
        self,
        route: ChainRoute[Model],
        members: Members[Model],
        *,
        ask: Callable[[ChainRoute[Model]], llm.LLMStream],
        goes_on: bool,
    ) -> None:
        self.asked = route
        self.begun = False
        self.error: APIError | None = None
        """Why the route did not answer, or not to the end."""
        self.told = False
        """Whether that was told to the log."""
        self._members = members
        self._ask = ask
        self._goes_on = goes_on
        self._stream: llm.LLMStream | None = None
        self._held: list[llm.ChatChunk] = []

    @property
    def route(self) -> str:
        """The route's name."""
        return self.asked.name

    async def begin(self) -> None:
        """See `Attempt.begin`."""
        self.begun = True
        if not self.asked.begin():
            self.error = NoRouteError("llm")
            raise self.error
        try:
            self._stream = self._ask(self.asked)
            async for chunk in self._stream:
                self._held.append(chunk)
                if _is_answer(chunk):
                    return
            if not self._goes_on:
                raise EmptyAnswerError()
        except Exception as e:
            raise await self._fail(e) from None
        except BaseException:
            await self.give_up()
            raise

    async def give_up(self, *, late: bool = False) -> None:
        """See `Attempt.give_up`."""
        if late:
            await self._fail(APITimeoutError())
        else:
            self.asked.abandoned()
            await self._close()

    async def chunks(self) -> AsyncGenerator[llm.ChatChunk]:
        """The answer, once it has begun.

        Raises:
            APIError: It broke off.
        """
        assert self._stream is not None
        try:
            for chunk in self._held:
                yield chunk
            async for chunk in self._stream:
                yield chunk
        except Exception as e:
            raise await self._fail(e) from None
        except BaseException:
            await self.give_up()
            raise
        self.asked.served()
        await self._close()

    async def _fail(self, error: Exception) -> APIError:
        self.error = as_api_error(error)
        self._members.failed(self.asked, self.error)
        await self._close()
        return self.error

    async def _close(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()


async def _probe(model: Model, timeout_s: float) -> None:
    """Ask for a word, with nothing of the conversation."""
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=_PROBE)
    once = APIConnectOptions(max_retry=0, timeout=timeout_s)
    async with model.chat(chat_ctx=context, conn_options=once) as stream:
        async for chunk in stream:
            if _is_answer(chunk):
                return
    raise EmptyAnswerError()


def _is_answer(chunk: llm.ChatChunk) -> bool:
    return bool(chunk.delta and (chunk.delta.content or chunk.delta.tool_calls))


def _with_content(delta: llm.ChoiceDelta, text: str) -> llm.ChoiceDelta:
    return delta.model_copy(update={"content": text or None})
