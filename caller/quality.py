"""How well the agent's voice came through: what WebRTC lost, made up and held back."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from livekit import rtc

from caller.recording import RATE


@dataclass(kw_only=True)
class Quality:
    """WebRTC's own counters for the track that is listened to, as of the last `sample`.

    Attributes:
        packets_lost: RTP packets that never came.
        concealed_ms: Sound that was made up in place of missing packets, silence not counted.
        jitter_buffer_ms: How long a sample waited in the jitter buffer on average; it is part of
            every reply time.
    """

    packets_lost: int = 0
    concealed_ms: float = 0.0
    jitter_buffer_ms: float = 0.0

    async def sample(self, track: rtc.Track | None) -> None:
        """Read the counters; without a track (the agent has left) they stay as they are."""
        if track is None:
            return
        for entry in await track.get_stats():
            if entry.WhichOneof("stats") != "inbound_rtp":
                continue
            inbound = entry.inbound_rtp.inbound
            concealed = inbound.concealed_samples - inbound.silent_concealed_samples
            self.packets_lost = entry.inbound_rtp.received.packets_lost
            self.concealed_ms = round(max(0, concealed) / RATE * 1000, 1)
            if inbound.jitter_buffer_emitted_count:
                held = inbound.jitter_buffer_delay / inbound.jitter_buffer_emitted_count
                self.jitter_buffer_ms = round(held * 1000, 1)

    def to_json(self) -> dict[str, float]:
        """The counters by name."""
        return asdict(self)
