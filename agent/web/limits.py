"""How often one address may ask for a token."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MINUTE_S = 60.0


class RateLimit:
    """A token bucket for each address, in bounded memory.

    Args:
        per_minute: Requests a minute that an address has, and the most it can save up.
        max_addresses: Addresses remembered; beyond it the one longest unseen is forgotten.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        per_minute: int,
        max_addresses: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_minute = per_minute
        self._max_addresses = max_addresses
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Take one request: 0 if it is granted, else the seconds until one would be."""
        now = self._clock()
        left, since = self._buckets.pop(address, (float(self._per_minute), now))
        rate = self._per_minute / _MINUTE_S
        left = min(float(self._per_minute), left + (now - since) * rate)
        wait = 0.0 if left >= 1 else (1 - left) / rate
        self._buckets[address] = (left if wait else left - 1, now)
        while len(self._buckets) > self._max_addresses:
            self._buckets.popitem(last=False)
        return wait
