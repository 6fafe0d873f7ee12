"""A voice activity detector for tests: whatever is loud enough is speech."""

from __future__ import annotations

import time

import numpy as np
from livekit import rtc
from livekit.agents import vad

_LOUD = 100
_SILENCE_S = 0.15
"""As the worker's."""


class SoundVad(vad.VAD):
    """Hears the tones that stand for words in these tests."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.02))

    def stream(self) -> vad.VADStream:
        return _SoundStream(self)


class _SoundStream(vad.VADStream):
    async def _main_task(self) -> None:
        speech_s = silence_s = 0.0
        speaking, heard = False, list[rtc.AudioFrame]()
        samples = 0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                speech_s, speaking, heard = 0.0, False, []
                continue
            samples += frame.samples_per_channel
            loud = np.abs(np.frombuffer(frame.data, dtype=np.int16)).max(initial=0) >= _LOUD
            silence_s = 0.0 if loud else silence_s + frame.duration
            kind = vad.VADEventType.INFERENCE_DONE
            if loud and not speaking:
                speaking, kind = True, vad.VADEventType.START_OF_SPEECH
            elif speaking and silence_s >= _SILENCE_S:
                speaking, kind = False, vad.VADEventType.END_OF_SPEECH
            heard = [*heard, frame] if speaking else [frame]
            speech_s = speech_s + frame.duration if speaking else 0.0
            self._event_ch.send_nowait(
                vad.VADEvent(
                    type=kind,
                    samples_index=samples,
                    timestamp=time.time(),
                    speech_duration=speech_s,
                    silence_duration=silence_s,
                    frames=heard,
                    speaking=speaking,
                    probability=float(loud),
                    raw_accumulated_speech=speech_s,
                    raw_accumulated_silence=silence_s,
                )
            )
