"""Sending only around speech, so that silence is not billed.

The gate trails the caller by a pre-roll: when a detector reports speech, the audio from before
its report is still unsent, and the onset goes out with the rest.
"""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import utils, vad

_PRE_ROLL_S = 0.6
"""Detectors report an onset 50 to 200 ms late, and a soft one later."""
_HANGOVER_S = 1.0
"""Silence sent after speech: the server needs some to notice the end of the utterance."""


class SpeechGate:
    """Decides which audio is sent.

    Args:
        detector: Reports where speech begins and ends.
        sample_rate: Samples a second of the stream.
    """

    def __init__(self, detector: vad.VAD, *, sample_rate: int) -> None:
        self._stream = detector.stream()
        self._pre_roll = int(_PRE_ROLL_S * sample_rate)
        self._hangover = int(_HANGOVER_S * sample_rate)
        self._pushed = 0
        self._speaking = False
        self._open_until = 0
        self._task = asyncio.create_task(self._follow(), name="aigateway.stt.gate")

    def push(self, frame: rtc.AudioFrame) -> None:
        """Show the detector the next audio."""
        self._pushed += frame.samples_per_channel
        self._stream.push_frame(frame)

    def skip_to(self, cursor: int, end: int) -> int | None:
        """Where sending continues, or ``None`` to send from ``cursor`` on.

        Args:
            cursor: The next sample to send.
            end: One past the newest sample.
        """
        if self._speaking or cursor < self._open_until:
            return None
        return max(cursor, end - self._pre_roll)

    async def aclose(self) -> None:
        """Stop the detector."""
        await utils.aio.cancel_and_wait(self._task)
        await self._stream.aclose()

    async def _follow(self) -> None:
        async for event in self._stream:
            if event.type is vad.VADEventType.START_OF_SPEECH:
                self._speaking = True
            elif event.type is vad.VADEventType.END_OF_SPEECH:
                self._speaking = False
                self._open_until = self._pushed + self._hangover
