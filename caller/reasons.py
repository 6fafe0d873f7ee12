"""Why a call did not come about, or ended, in words for people."""

from __future__ import annotations

from livekit import rtc

CONNECT_TIMEOUT_S = 10.0
"""From the first packet to being in the room."""
AGENT_HUNG_UP = "the agent hung up"
"""It left or closed the room: when it closes the room, the news of its leaving may come first."""

_REASONS = {
    rtc.DisconnectReason.ROOM_DELETED: AGENT_HUNG_UP,
    rtc.DisconnectReason.PARTICIPANT_REMOVED: "the caller was removed from the room",
    rtc.DisconnectReason.SERVER_SHUTDOWN: "the server shut down",
    rtc.DisconnectReason.SIGNAL_CLOSE: "the connection was lost",
}


def why_ended(reason: rtc.DisconnectReason.ValueType) -> str:
    """Say why the room is left."""
    return _REASONS.get(reason, rtc.DisconnectReason.Name(reason).lower())


def why_unreachable(url: str, error: Exception) -> str:
    """Say why the room could not be entered."""
    text = str(getattr(error, "message", "")).lower()
    if isinstance(error, TimeoutError):
        return f"The LiveKit server at {url} did not answer within {CONNECT_TIMEOUT_S:g} s."
    if "401" in text or "unauthorized" in text or "invalid token" in text:
        return (
            f"The LiveKit server at {url} refuses the key: check LIVEKIT_API_KEY and "
            "LIVEKIT_API_SECRET against the server's."
        )
    return (
        f"There is no LiveKit server at {url}: start one (`make demo` does) or set LIVEKIT_URL to "
        "where it is."
    )
