"""Every wait and size is checked, and options never print a key."""

from __future__ import annotations

import pytest
from livekit.plugins import aigateway


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("config", "field"),
    [
        (aigateway.Limits, "json_bytes"),
        (aigateway.STTTimeouts, "reconnect_s"),
        (aigateway.TTSTimeouts, "quiet_s"),
        (aigateway.LLMTimeouts, "total_s"),
        (aigateway.ReplayOptions, "ring_s"),
    ],
)
def test_a_limit_must_be_positive(config: type, field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        config(**{field: value})


def test_capabilities_are_told_truly() -> None:
    plain = aigateway.STT(api_key="k", dialect="minimal").capabilities
    assert (plain.streaming, plain.interim_results, plain.offline_recognize) == (True, True, True)
    assert (plain.keyterms, plain.manual_flush, plain.aligned_transcript) == (False, False, False)
    timed = aigateway.STT(api_key="k", word_timestamps=True).capabilities
    assert (timed.aligned_transcript, timed.keyterms) == ("word", True)
    spoken = aigateway.TTS(api_key="k").capabilities
    assert (spoken.streaming, spoken.aligned_transcript) == (True, False)


@pytest.mark.parametrize("engine", [aigateway.STT, aigateway.TTS])
def test_sample_rates_out_of_range_are_refused(engine: type) -> None:
    with pytest.raises(ValueError, match="sample_rate"):
        engine(api_key="k", sample_rate=96000)


def test_models_and_providers() -> None:
    for engine in (aigateway.STT(api_key="k"), aigateway.TTS(api_key="k")):
        assert engine.provider == "AIgateway"
        assert "/" in engine.model
