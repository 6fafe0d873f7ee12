"""Voice activity detection with Silero's model, which ships inside faster-whisper."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gateway.errors import EngineUnavailable

FRAME_SAMPLES = 512
"""Samples of one decision at 16 kHz (32 ms): the only window the model was trained for."""

_CONTEXT_SAMPLES = 64
"""Samples of the frame before that the model wants in front of each frame."""

_STATE_SHAPE = (1, 1, 128)

Samples = npt.NDArray[np.float32]
"""Mono audio between -1 and 1."""


class VoiceActivity(Protocol):
    """Rates frames of one stream of audio."""

    def probability(self, frame: Samples) -> float:
        """Return how likely it is (0 to 1) that this frame of `FRAME_SAMPLES` holds speech."""


class SileroModel:
    """The loaded network; streams made by `stream` share it.

    Raises:
        EngineUnavailable: if onnxruntime or the model file is missing.
    """

    def __init__(self) -> None:
        try:
            import faster_whisper
            import onnxruntime
        except ImportError as error:
            raise EngineUnavailable(
                f"voice activity detection needs the package {error.name}"
            ) from None
        path = Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"
        if not path.is_file():
            raise EngineUnavailable("this faster-whisper carries no silero_vad_v6.onnx")
        options = onnxruntime.SessionOptions()
        # A frame takes 0.1 ms: a second thread would cost more to wake than it would save.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def stream(self) -> SileroVad:
        """Return a detector for one stream of audio."""
        return SileroVad(self._session)


class SileroVad:
    """Silero over one stream: it carries the recurrent state from frame to frame."""

    def __init__(self, session: object) -> None:
        self._run = session.run  # type: ignore[attr-defined]  # onnxruntime publishes no types
        self._hidden = np.zeros(_STATE_SHAPE, np.float32)
        self._cell = np.zeros(_STATE_SHAPE, np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def probability(self, frame: Samples) -> float:
        """Return how likely it is (0 to 1) that this frame of `FRAME_SAMPLES` holds speech."""
        window = np.concatenate((self._context, frame))[np.newaxis]
        output, self._hidden, self._cell = self._run(
            None, {"input": window, "h": self._hidden, "c": self._cell}
        )
        self._context = frame[-_CONTEXT_SAMPLES:]
        return float(output.reshape(-1)[0])
