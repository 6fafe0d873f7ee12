"""The openai client without its walk through every message: 15 ms of CPU a request."""

from __future__ import annotations

from typing import Any, cast

import openai


class PlainClient:
    """What LiveKit's stream uses of the openai client, with the conversation sent as it is.

    The client holds each member of each message and tool against each type that it might have, to
    rename what has another name on the wire. Nothing in a conversation has one. What goes into
    ``extra_body`` is left alone.

    Args:
        client: Sends the requests.
    """

    def __init__(self, client: openai.AsyncClient) -> None:
        self._client = client
        self.chat = self.completions = self

    @classmethod
    def of(cls, client: openai.AsyncClient) -> openai.AsyncClient:
        """For where a whole client is asked for."""
        return cast("openai.AsyncClient", cls(client))

    async def create(
        self,
        *,
        messages: list[Any],
        tools: Any = openai.omit,
        extra_body: Any = None,
        **options: Any,
    ) -> Any:
        """``chat.completions.create``."""
        body: dict[str, Any] = {"messages": messages}
        if not isinstance(tools, openai.Omit):
            body["tools"] = tools
        return await self._client.chat.completions.create(
            messages=[], extra_body=body | (extra_body or {}), **options
        )
