from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from gateway.speech.decode_queue import Decoded, DecodeQueue
from gateway.speech.vad import Samples

AUDIO = np.zeros(1, np.float32)


class SlowDecode:
    """A decode that each test lets through step by step."""

    def __init__(self) -> None:
        self.running = 0
        self.most_at_once = 0
        self.order: list[str] = []
        self.go = threading.Semaphore(0)

    def __call__(self, samples: Samples, *, final: bool, words: bool) -> Decoded:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        assert self.go.acquire(timeout=5)
        self.order.append("final" if final else "partial")
        self.running -= 1
        return Decoded(text="x")


async def _step() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_at_a_time_finals_first() -> None:
    decode = SlowDecode()
    queue = DecodeQueue(decode)
    jobs = [asyncio.create_task(queue.decode(lambda: AUDIO, final=False)) for _ in range(3)]
    await _step()
    jobs.append(asyncio.create_task(queue.decode(lambda: AUDIO, final=True)))
    await _step()
    decode.go.release(4)
    await asyncio.gather(*jobs)
    queue.close()
    assert decode.most_at_once == 1
    assert decode.order == ["partial", "final", "partial", "partial"]


async def test_stale_jobs_are_dropped() -> None:
    decode = SlowDecode()
    queue = DecodeQueue(decode)
    assert await queue.decode(lambda: None, final=False) is None
    queue.close()
    assert decode.order == []


async def test_cancelled_jobs_leave_the_queue() -> None:
    decode = SlowDecode()
    queue = DecodeQueue(decode)
    first = asyncio.create_task(queue.decode(lambda: AUDIO, final=False))
    await _step()
    waiting = asyncio.create_task(queue.decode(lambda: AUDIO, final=True))
    await _step()
    waiting.cancel()
    decode.go.release(2)
    await first
    assert (await queue.decode(lambda: AUDIO, final=True)) is not None
    queue.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert decode.order == ["partial", "final"]


async def test_a_turn_that_came_with_the_cancel_is_passed_on() -> None:
    decode = SlowDecode()
    queue = DecodeQueue(decode)
    first = asyncio.create_task(queue.decode(lambda: AUDIO, final=False))
    await _step()
    waiting = asyncio.create_task(queue.decode(lambda: AUDIO, final=True))
    await _step()
    decode.go.release(2)
    while not first.done():
        await asyncio.sleep(0)
    waiting.cancel()
    result = await asyncio.wait_for(queue.decode(lambda: AUDIO, final=True), 5)
    queue.close()
    assert result is not None
    with pytest.raises(asyncio.CancelledError):
        await waiting
