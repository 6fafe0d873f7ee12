"""Chat completions through AIgateway: ``gatewaykit.llm`` with this gateway's headers."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
from livekit.agents.llm import ToolChoice
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.limits import LLMTimeouts
from livekit.plugins.gatewaykit.llm import GatewayLLM

from ._options import ACCOUNT, TAG_HEADER
from .models import LLMModels


class LLM(GatewayLLM):
    """AIgateway language model."""

    def __init__(
        self,
        *,
        model: LLMModels | str = "moonshot/kimi-k2.6",
        base_url: NotGivenOr[str] = NOT_GIVEN,
        api_key: NotGivenOr[str | KeyRing] = NOT_GIVEN,
        temperature: NotGivenOr[float] = NOT_GIVEN,
        top_p: NotGivenOr[float] = NOT_GIVEN,
        max_completion_tokens: NotGivenOr[int] = NOT_GIVEN,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[ToolChoice] = NOT_GIVEN,
        extra_body: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
        user: NotGivenOr[str] = NOT_GIVEN,
        store_transcript: bool = False,
        strict_tool_schema: bool = False,
        tag: str = "voice.llm",
        timeouts: LLMTimeouts = LLMTimeouts(),  # noqa: B008  # frozen
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        """Create a new instance of AIgateway LLM.

        Args:
            model: Model slug, ``vendor/model``.
            base_url: Defaults to ``AIGATEWAY_BASE_URL``, then to the public gateway.
            api_key: Defaults to ``AIGATEWAY_API_KEY``. Several, separated by commas, are used in
                turn; a ``KeyRing`` is shared with the plugins that are given the same one.
            temperature: Sampling temperature.
            top_p: Nucleus sampling.
            max_completion_tokens: Longest answer, in tokens.
            parallel_tool_calls: Whether the model may call several tools at once.
            tool_choice: Whether and which tool must be called.
            extra_body: Members added to every request.
            user: An opaque id of the end user.
            store_transcript: Ask the gateway to store the transcript (``x-aig-store-transcript``).
            strict_tool_schema: Send tool schemas in OpenAI's strict form, which many models that
                are not OpenAI's refuse.
            tag: Label under which the gateway books the cost (``x-aig-tag``).
            timeouts: The total deadline; the wait for each chunk is ``conn_options.timeout``.
            http_client: Defaults to a client of its own that does not follow redirects.

        Raises:
            ValueError: There is no key.
        """
        headers = {TAG_HEADER: tag}
        if store_transcript:
            headers["x-aig-store-transcript"] = "true"
        super().__init__(
            account=ACCOUNT,
            headers=headers,
            model=model,
            base_url=base_url,
            api_key=api_key,
            temperature=temperature,
            top_p=top_p,
            max_completion_tokens=max_completion_tokens,
            parallel_tool_calls=parallel_tool_calls,
            tool_choice=tool_choice,
            extra_body=extra_body,
            user=user,
            strict_tool_schema=strict_tool_schema,
            timeouts=timeouts,
            http_client=http_client,
        )
