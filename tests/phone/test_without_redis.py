"""Redis goes away in the middle of a call, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from caller.ears import Ears
from caller.errors import CallerError
from caller.phone import PhoneCaller
from caller.sip.call import CallRefused
from demo.stack import Stack
from tests.phone.conftest import CALENDAR
from tests.phone.hearing import hears
from tests.phone.test_inbound import no_rooms

BACK_S = 30.0
"""Time in which calls must work again."""


async def test_a_call_outlives_redis_and_new_ones_come_back_with_it(
    call: Callable[..., PhoneCaller], stack: Stack, ears: Ears
) -> None:
    redis = stack.child("redis")
    async with call() as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        await redis.stop()
        try:
            await caller.call.media.press(CALENDAR)
            await hears(caller, ears, "dentist")
            with pytest.raises(CallRefused) as refused:
                async with call():
                    pass
            assert refused.value.status in (408, 480, 486, 500, 503)
        finally:
            await stack.start_redis()
    async with asyncio.timeout(BACK_S):
        while not await answers(call):
            await asyncio.sleep(0.5)
    await no_rooms(stack)


async def answers(call: Callable[..., PhoneCaller]) -> bool:
    try:
        async with call() as caller:
            await caller.wait_for_agent()
    except CallerError:
        return False
    return True
