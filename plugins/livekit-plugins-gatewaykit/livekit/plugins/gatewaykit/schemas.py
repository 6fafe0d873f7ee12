"""Tools' schemas as they are sent, written once in a process: that takes some 4 ms a tool."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm

_MAX_KNOWN = 16
"""Sets of tools whose schemas are kept; an agent has one."""

_known: dict[tuple[object, ...], tuple[list[object], list[dict[str, Any]]]] = {}
"""Schemas by format and by what the tools are, which is kept with them so that it keeps its id."""


class ToolContext(llm.ToolContext):
    """Tools whose schemas are written once, whatever agent they are bound to."""

    def parse_function_tools(self, format: Any, **kwargs: Any) -> Any:
        """The tools' schemas."""
        infos: list[object] = [tool.info for tool in self.function_tools.values()]
        key = (format, *sorted(kwargs.items()), *map(id, infos))
        if key not in _known:
            if len(_known) >= _MAX_KNOWN:
                _known.clear()
            _known[key] = infos, super().parse_function_tools(format, **kwargs)
        return _known[key][1]
