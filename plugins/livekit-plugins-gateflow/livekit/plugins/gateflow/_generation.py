"""One reply of the model as the framework wants it: a message whose text and audio flow."""

from __future__ import annotations

import asyncio
from typing import Literal

from livekit import rtc
from livekit.agents import llm, utils

from ._codec.audio import BYTES_PER_SAMPLE, WholeSamples
from ._codec.realtime import Text

_Modality = Literal["text", "audio"]


class Generation:
    """A reply under way.

    Args:
        sample_rate: Hz of its audio.
        user_initiated: Whether ``generate_reply`` asked for it.
    """

    def __init__(self, *, sample_rate: int, user_initiated: bool) -> None:
        self._sample_rate = sample_rate
        self._samples = WholeSamples()
        self._text = utils.aio.Chan[str]()
        self._audio = utils.aio.Chan[rtc.AudioFrame]()
        self._messages = utils.aio.Chan[llm.MessageGeneration]()
        self._functions = utils.aio.Chan[llm.FunctionCall]()
        self._functions.close()  # the wire form has no tools
        self._user_initiated = user_initiated
        self._played_until = 0.0
        self._said = False
        self.id = utils.shortuuid("message_")
        self.ended = False
        """Whether nothing can be added any more."""

    def event(self) -> llm.GenerationCreatedEvent:
        """What announces it. To be called once."""
        modalities: asyncio.Future[list[_Modality]] = asyncio.get_running_loop().create_future()
        modalities.set_result(["text", "audio"])
        self._messages.send_nowait(
            llm.MessageGeneration(
                message_id=self.id,
                text_stream=self._text,
                audio_stream=self._audio,
                modalities=modalities,
            )
        )
        self._messages.close()
        return llm.GenerationCreatedEvent(
            message_stream=self._messages,
            function_stream=self._functions,
            user_initiated=self._user_initiated,
            response_id=self.id,
        )

    @property
    def playing_until(self) -> float:
        """Loop time at which all audio so far will have been played, if it began at once."""
        return self._played_until

    def add_text(self, text: Text) -> None:
        """Some more of what is said."""
        if not self.ended:
            self._text.send_nowait(
                f" {text.text}" if text.is_sentence and self._said else text.text
            )
            self._said = True

    def add_audio(self, data: bytes) -> float:
        """Some more audio; returns its length in seconds."""
        pcm = self._samples.push(data)
        if self.ended or not pcm:
            return 0.0
        samples = len(pcm) // BYTES_PER_SAMPLE
        self._audio.send_nowait(rtc.AudioFrame(pcm, self._sample_rate, 1, samples))
        seconds = samples / self._sample_rate
        now = asyncio.get_running_loop().time()
        self._played_until = max(now, self._played_until) + seconds
        return seconds

    def end_text(self) -> None:
        """No more text."""
        self._text.close()

    def end(self) -> None:
        """Nothing more."""
        self.ended = True
        self._text.close()
        self._audio.close()
