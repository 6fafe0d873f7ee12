"""The caller's audio as Opus: a tenth of the bandwidth, and the same words."""

from __future__ import annotations

import pytest
from livekit.plugins import aigateway

from bench.encodings import measure
from tests.wer import wer

from .gateflow_harness import REAL
from .gateway_harness import two_cities
from .vendors import KEY, WORDS, finals, spoken, standing_in, transcribe

OPENING = "It was the best of times, it was the worst of times."


@pytest.mark.alone
async def test_opus_saves_nine_tenths_and_costs_no_words() -> None:
    pcm = two_cities()[: 48 * 3_200]
    async with standing_in(**REAL) as (gateway, http):
        measured = {
            encoding: await measure(
                pcm,
                encoding=encoding,
                gateway=gateway.url,
                key=KEY,
                http=http,
            )
            for encoding in ("linear16", "opus")
        }
    assert measured["linear16"].bytes_per_s == pytest.approx(32_000, rel=0.02)
    assert measured["opus"].bytes_per_s < 0.1 * measured["linear16"].bytes_per_s
    for result in measured.values():
        assert wer(OPENING, result.text) <= 0.1, result.text


async def test_opus_is_heard_from_the_first_word_after_a_reconnect_too() -> None:
    async with standing_in() as (gateway, http):
        gateway.faults.set([{"stage": "stt", "do": "reset", "connection": 1, "at": {"ms": 200}}])
        ears = aigateway.STT(encoding="opus", api_key=KEY, base_url=gateway.url, http_session=http)
        assert finals(await transcribe(ears.stream(), spoken())) == WORDS
        assert ears.stats.reconnects == 1
        await ears.aclose()
