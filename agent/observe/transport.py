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
        self._held = Held()
        self.now = Transport()
        """As of the last `refresh`."""

    async def refresh(self) -> None:
        """Read the statistics; what cannot be read stays as it was."""
        try:
            stats = await self._room.get_rtc_stats()
        except RuntimeError as e:  # the call is over
            logger.debug("no transport statistics", extra={"error": type(e).__name__})
            return
        entries = [*stats.publisher_stats, *stats.subscriber_stats]
        held = total_held(entries)
        self.now = estimate(measured_round_trip_ms(entries), held.since(self._held))
        self._held = held


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the jitter buffer has held since the call began: it starts deep and becomes shallow.

    Attributes:
        sample_s: Samples times the seconds that each was held.
        samples: How many.
    """

    sample_s: float = 0.0
    samples: int = 0

    def since(self, earlier: Held) -> float:
        """Mean milliseconds that a sample was held after `earlier`."""
        samples = self.samples - earlier.samples
        return 1000 * (self.sample_s - earlier.sample_s) / samples if samples > 0 else 0.0


def total_held(stats: Iterable[RtcStats]) -> Held:
    """The jitter buffers' totals."""
    sample_s, samples = 0.0, 0
    for entry in stats:
        if entry.WhichOneof("stats") == "inbound_rtp":
            sample_s += entry.inbound_rtp.inbound.jitter_buffer_delay
            samples += entry.inbound_rtp.inbound.jitter_buffer_emitted_count
    return Held(sample_s=sample_s, samples=samples)


def measured_round_trip_ms(stats: Iterable[RtcStats]) -> float:
    """The worker's round trip to the media server; 0 while unknown."""
    pairs = [
        entry.candidate_pair.candidate_pair
        for entry in stats
        if entry.WhichOneof("stats") == "candidate_pair"
    ]
    return max((1000 * p.current_round_trip_time for p in pairs if p.nominated), default=0.0)


def estimate(round_trip_ms: float, held_ms: float) -> Transport:
    """Half a round trip a leg, the jitter buffer and a packet, the same both ways."""
    one_way = _CLIENT_LEGS * round_trip_ms / 2 + held_ms + _PACKET_MS
    return Transport(uplink_ms=one_way, downlink_ms=one_way)
