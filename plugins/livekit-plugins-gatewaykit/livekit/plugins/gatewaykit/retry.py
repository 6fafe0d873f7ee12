"""One verdict, one back-off.

LiveKit's stream classes own the retry loop for a request that never got going: they count
attempts by ``APIConnectOptions`` and emit one error event for each. What this plugin retries
itself, because only it holds what must not be lost (audio not yet transcribed, a reply half
spoken), goes through :func:`retry_until`. Both ask :func:`is_retryable` and both wait by
:class:`Backoff`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from livekit.agents import APIConnectOptions, APIError

from .errors import exhausted

T = TypeVar("T")

_LONGEST_SPREAD_S = 2.0
"""At most so much is added to the wait that a gateway asks for."""


def is_retryable(exc: BaseException) -> bool:
    """Whether the same request may succeed later. Errors carry their verdict (see ``errors``)."""
    return isinstance(exc, APIError) and exc.retryable


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Full jitter: a uniform draw below an exponential ceiling.

    A gateway restart drops every call at the same moment; without jitter they all come back
    together.
    """

    initial_s: float = 0.1
    maximum_s: float = 2.0
    rng: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def delay_s(self, failures: int, *, maximum_s: float | None = None) -> float:
        """Seconds to wait after ``failures`` earlier failures (0 for the first)."""
        ceiling = self.maximum_s if maximum_s is None else min(self.maximum_s, maximum_s)
        # 2.0**failures overflows long after any ceiling is reached
        return self.rng.uniform(0.0, min(ceiling, self.initial_s * 2.0 ** min(failures, 30)))


def spread(wait_s: float, *, most_s: float) -> float:
    """The wait that a gateway asks for, and up to as much again, drawn at random.

    All who were refused together were told the same: without jitter they come back together.

    Args:
        wait_s: What it asks for, in seconds.
        most_s: The longest wait there is time for; it is not jittered beyond this.
    """
    return wait_s + random.uniform(0.0, max(0.0, min(wait_s, _LONGEST_SPREAD_S, most_s - wait_s)))


@dataclass(frozen=True)
class JitteredConnectOptions(APIConnectOptions):
    """The caller's counts and timeout, with the framework's fixed waits replaced by full jitter."""

    backoff: Backoff = field(default_factory=Backoff, repr=False, compare=False)

    @classmethod
    def of(cls, options: APIConnectOptions) -> JitteredConnectOptions:
        """Wrap what a caller passed to ``stream()``."""
        return cls(
            max_retry=options.max_retry,
            retry_interval=options.retry_interval,
            timeout=options.timeout,
        )

    def _interval_for_retry(self, num_retries: int) -> float:
        return self.backoff.delay_s(num_retries, maximum_s=self.retry_interval)


async def retry_until(
    attempt: Callable[[], Awaitable[T]],
    *,
    deadline_s: float,
    backoff: Backoff,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Call ``attempt`` until it succeeds, fails for good, or ``deadline_s`` would pass.

    Args:
        attempt: One try; it must be bounded in time itself.
        deadline_s: Seconds from now after which no further try is started.
        backoff: The wait between two tries.
        clock: Monotonic seconds.
        sleep: Waits the seconds it is given.

    Raises:
        APIError: The last failure; no longer retryable once the deadline is the reason.
    """
    give_up_at = clock() + deadline_s
    failures = 0
    while True:
        try:
            return await attempt()
        except APIError as exc:
            if not is_retryable(exc):
                raise
            delay = backoff.delay_s(failures)
            if clock() + delay >= give_up_at:
                raise exhausted(exc, f"gave up after {deadline_s:g} s") from None
            failures += 1
            await sleep(delay)
