"""The way between caller and worker, as far as the worker's end of it can tell.

Nothing here is measured at the caller. WebRTC tells the worker its own round trip to the media
server and how long its jitter buffer holds what it receives. The caller's own leg and jitter buffer
cannot be seen from here: they are taken to be like the worker's, which on one machine is close and
for a phone in a train is too little.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from livekit import rtc
from livekit.rtc._proto.stats_pb2 import RtcStats  # what `Room.get_rtc_stats` hands out

logger = logging.getLogger("parley.turn")

_PACKET_MS = 20.0
"""A sound waits for its Opus packet to be full; both ways."""
_CLIENT_LEGS = 2
"""Caller to server and server to worker."""


@dataclass(frozen=True, kw_only=True)
class Transport:
    """An estimate of the time that sound spends on its way, in milliseconds each way."""

    uplink_ms: float = 0.0
    downlink_ms: float = 0.0


class TransportEstimate:
    """Reads WebRTC's statistics of a room.

    Args:
        room: The call's room.
    """

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self.now = Transport()
        """As of the last `refresh`."""

    async def refresh(self) -> None:
        """Read the statistics; what cannot be read stays as it was."""
        try:
            stats = await self._room.get_rtc_stats()
        except RuntimeError as e:  # the call is over
            logger.debug("no transport statistics", extra={"error": type(e).__name__})
            return
        self.now = estimate([*stats.publisher_stats, *stats.subscriber_stats])


def estimate(stats: Iterable[RtcStats]) -> Transport:
    """Half a round trip a leg, the jitter buffer and a packet, the same both ways."""
    round_trip_ms, buffer_ms = 0.0, 0.0
    for entry in stats:
        match entry.WhichOneof("stats"):
            case "candidate_pair" if entry.candidate_pair.candidate_pair.nominated:
                pair = entry.candidate_pair.candidate_pair
                round_trip_ms = max(round_trip_ms, pair.current_round_trip_time * 1000)
            case "inbound_rtp" if entry.inbound_rtp.inbound.jitter_buffer_emitted_count:
                inbound = entry.inbound_rtp.inbound
                held = inbound.jitter_buffer_delay / inbound.jitter_buffer_emitted_count
                buffer_ms = max(buffer_ms, held * 1000)
    one_way = _CLIENT_LEGS * round_trip_ms / 2 + buffer_ms + _PACKET_MS
    return Transport(uplink_ms=one_way, downlink_ms=one_way)
