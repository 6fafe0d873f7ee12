"""Tools' schemas as they are sent, written once: that takes some 4 ms a tool."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm

_MAX_KNOWN_SCHEMAS = 16
"""Sets of tools; an agent has one, and its tools are the same objects in each request."""
Schemas = dict[tuple[object, ...], list[dict[str, Any]]]


class ToolContext(llm.ToolContext):
    """Tools whose schemas are written once: that takes some 4 ms a tool, with every request.

    Args:
        tools: What the model may call.
        known: Schemas written so far, by their tools; shared by the requests of an ``LLM``.
    """

    def __init__(self, tools: list[llm.Tool], *, known: Schemas) -> None:
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
