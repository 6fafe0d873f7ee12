"""LiveKit's conventions for providers, clause by clause, for all three stages."""

from __future__ import annotations

import time

import pytest
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
    APITimeoutError,
)

from .aigateway_ears import ear, server
from .aigateway_harness import (
    black_hole,
)
from .aigateway_mind import mind
from .aigateway_voice import voice_of


async def test_stt_black_hole_times_out_in_time_with_one_error_an_attempt() -> None:
    options = APIConnectOptions(max_retry=0, timeout=0.5)
    async with black_hole() as url, ear(url, conn_options=options) as it:
        started = time.monotonic()
        heard = await it.finish()
        assert 0.4 <= time.monotonic() - started <= 1.0
        assert isinstance(heard.raised, APITimeoutError)
        assert [error.recoverable for error in heard.errors] == [False]
        assert heard.faults == {"timed_out": 1}

    options = APIConnectOptions(max_retry=3, timeout=0.3, retry_interval=0.0)
    async with black_hole() as url, ear(url, conn_options=options) as it:
        heard = await it.finish()
    assert [error.recoverable for error in heard.errors] == [True, True, True, False]
    assert all(isinstance(error.error, APITimeoutError) for error in heard.errors)
    assert heard.faults == {"timed_out": 4}


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_stt_final_statuses_are_not_retried(status: int) -> None:
    async with server() as srv:
        srv.refuse_with = status
        async with ear(srv.url) as it:
            heard = await it.finish()
    assert isinstance(heard.raised, APIStatusError)
    assert heard.raised.status_code == status
    assert len(heard.errors) == 1
    assert len(srv.requests) == 1
    assert heard.faults == {"rejected": 1}


@pytest.mark.parametrize("one_shot", [True, False])
async def test_tts_black_hole_times_out_in_time_with_one_error_an_attempt(one_shot: bool) -> None:
    options = APIConnectOptions(max_retry=3, timeout=0.3, retry_interval=0.0)
    async with black_hole() as url, voice_of(base_url=url) as it:
        started = time.monotonic()
        if one_shot:
            async with it.engine.synthesize("Hello.", conn_options=options) as chunked:
                with pytest.raises(APITimeoutError):
                    await chunked.collect()
        else:
            with pytest.raises(APITimeoutError):
                await it.say("Hello.", conn_options=options)
        assert 1.0 <= time.monotonic() - started <= 2.5
        assert [error.recoverable for error in it.errors] == [True, True, True, False]
        assert it.metrics == []
        assert it.faults == {"timed_out": 4}


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_tts_final_statuses_are_not_retried(status: int) -> None:
    async with voice_of() as it:
        it.server.refuse_with = status
        with pytest.raises(APIStatusError) as failure:
            await it.say("Hello.")
        assert failure.value.status_code == status
        assert len(it.errors) == 1
        assert len(it.server.requests) <= 2  # the reply's own, and one for the spare
        assert it.faults == {"rejected": len(it.server.requests)}


async def test_llm_black_hole_times_out_in_time_with_one_error_an_attempt() -> None:
    async with black_hole() as url, mind(base_url=url) as it:
        started = time.monotonic()
        with pytest.raises(APITimeoutError):
            await it.ask(conn_options=APIConnectOptions(max_retry=0, timeout=0.5))
        assert 0.4 <= time.monotonic() - started <= 1.2
        assert [error.recoverable for error in it.errors] == [False]
        it.errors.clear()
        with pytest.raises(APIConnectionError):  # what the framework makes of the last timeout
            await it.ask(conn_options=APIConnectOptions(max_retry=3, timeout=0.3, retry_interval=0))
        assert [error.recoverable for error in it.errors] == [True, True, True, False]
        assert it.metrics == []
        assert it.faults == {"timed_out": 5}
