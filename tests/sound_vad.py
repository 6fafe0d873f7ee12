"""A voice activity detector for tests: whatever is not silent is speech."""

from __future__ import annotations

import time

import numpy as np
from livekit import rtc
from livekit.agents import vad

_LOUD = 100


class SoundVad(vad.VAD):
    """Hears the sounds that stand for words in these tests.

    Args:
        onset_s: Sound after which speech is reported: real detectors are as late.
        silence_s: Silence after which its end is.
    """

    def __init__(self, *, onset_s: float = 0.1, silence_s: float = 0.3) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.02))
        self.onset_s = onset_s
        self.silence_s = silence_s

    def stream(self) -> vad.VADStream:
        return _SoundStream(self)


class _SoundStream(vad.VADStream):
    async def _main_task(self) -> None:
        assert isinstance(self._vad, SoundVad)
        speaking = False
        sound_s = silence_s = speech_s = 0.0
        heard: list[rtc.AudioFrame] = []
        samples = 0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            samples += frame.samples_per_channel
            loud = np.abs(np.frombuffer(frame.data, dtype=np.int16)).max(initial=0) >= _LOUD
            sound_s = sound_s + frame.duration if loud else 0.0
            silence_s = 0.0 if loud else silence_s + frame.duration
            kind = vad.VADEventType.INFERENCE_DONE
            if not speaking and sound_s >= self._vad.onset_s:
                speaking, kind = True, vad.VADEventType.START_OF_SPEECH
            elif speaking and silence_s >= self._vad.silence_s:
                speaking, kind = False, vad.VADEventType.END_OF_SPEECH
            ended = kind is vad.VADEventType.END_OF_SPEECH
            # the end of speech comes with all of it, as from a real detector
            heard = [*heard, frame] if speaking or ended else [frame]
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
