"""An estimate of token counts, for `usage` and `max_tokens` of engines that have no tokenizer."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.wire.openai_chat import ChatMessage

_CHARS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English."""
_TOKENS_PER_MESSAGE = 4
"""What the framing of a message costs in OpenAI's own count."""


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text."""
    return -(-len(text) // _CHARS_PER_TOKEN)


def prompt_tokens(messages: Iterable[ChatMessage]) -> int:
    """Estimate the tokens of a conversation."""
    return sum(
        _TOKENS_PER_MESSAGE
        + count_tokens(message.text)
        + sum(count_tokens(call.name + call.arguments) for call in message.tool_calls)
        for message in messages
    )
