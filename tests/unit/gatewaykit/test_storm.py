"""Many sessions at a gateway that serves so many requests a second: how they come back."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from livekit.agents import APIError
from livekit.plugins.gatewaykit.errors import from_status
from livekit.plugins.gatewaykit.keys import Key, KeyRing
from livekit.plugins.gatewaykit.pacing import LocalSlots, Pacer, Pacing

from tests import virtual_time

SESSIONS = 60
SERVED_PER_S = 20
TOLD_S = 1
BUCKET_S = 0.1


class LimitedGateway:
    """Serves the first requests of each second, refuses the others and tells all to come later."""

    def __init__(self) -> None:
        self.arrived_at: list[float] = []
        self.served: Counter[int] = Counter()
        self.refused = 0

    async def ask(self, key: Key, left_s: float) -> str:
        now = asyncio.get_running_loop().time()
        self.arrived_at.append(now)
        self.served[int(now)] += 1
        if self.served[int(now)] > SERVED_PER_S:
            self.refused += 1
            raise from_status(429, what="x", headers={"Retry-After": str(TOLD_S)})
        return "served"

    def herd(self) -> int:
        """Most requests that came within a tenth of a second, after the first rush."""
        late = [at for at in self.arrived_at if at > self.arrived_at[0] + BUCKET_S]
        return max(Counter(int(at / BUCKET_S) for at in late).values(), default=0)


async def served(gateway: LimitedGateway, ring: KeyRing) -> str:
    """One session: it asks until it is served."""
    while True:
        try:
            return await ring.use(gateway.ask, within_s=10)
        except APIError as error:
            if not error.retryable:
                raise


def run(*, requests_per_s: float = 0.0) -> LimitedGateway:
    gateway = LimitedGateway()

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        slots = LocalSlots()  # what the file is to processes

        def ring() -> KeyRing:
            pacer = None
            if requests_per_s:
                pacing = Pacing(requests_per_s=requests_per_s, burst=5)
                pacer = Pacer(pacing, slots=slots, clock=loop.time)
            return KeyRing(["key"], provider="p", pacer=pacer, clock=loop.time)

        return await asyncio.gather(*(served(gateway, ring()) for _ in range(SESSIONS)))

    assert virtual_time.run(main()) == ["served"] * SESSIONS
    return gateway


def test_who_is_refused_together_comes_back_spread() -> None:
    gateway = run()
    assert gateway.refused >= SESSIONS - SERVED_PER_S
    assert gateway.herd() <= (SESSIONS - SERVED_PER_S) / 2


def test_without_jitter_they_would_come_back_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other tests would not notice if the gateway here were none."""
    module = "livekit.plugins.gatewaykit.keys.spread"
    monkeypatch.setattr(module, lambda wait_s, *, most_s: wait_s)
    assert run().herd() >= SESSIONS - SERVED_PER_S


def test_at_its_pace_nobody_is_refused() -> None:
    gateway = run(requests_per_s=SERVED_PER_S * 0.7)
    assert gateway.refused == 0
    assert len(gateway.arrived_at) == SESSIONS


def test_above_it_the_pace_is_found() -> None:
    """A pace that was set too high: each refusal slows it down, and the others are spared."""
    assert 0 < run(requests_per_s=SERVED_PER_S * 2).refused < run().refused
