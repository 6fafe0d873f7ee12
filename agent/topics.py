"""Names that the agent and the page share; `web/src/protocol.ts` is the other half."""

from __future__ import annotations

TURN_TOPIC = "parley.turn"
"""Text stream: one `TurnRecord` as JSON."""
TOOL_TOPIC = "parley.tool"
"""Text stream: `{"name": …, "state": "started" | "done" | "failed"}`."""
COST_TOPIC = "parley.cost"
"""Text stream: what the call has used so far, and its price in USD or null."""
CUT_TOPIC = "parley.cut"
"""Text stream: `{"said": …, "cut": …}`, a reply that the caller interrupted."""
HANG_UP_METHOD = "parley.hang_up"
"""RPC: the caller hangs up for good."""
RETURNS_ATTRIBUTE = "parley.returns"
"""Attribute of a caller who may come back after the connection was lost."""
