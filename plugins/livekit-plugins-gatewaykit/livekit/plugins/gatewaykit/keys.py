"""The keys of an account: which one is asked with next, which rests, which is not used any more.

A gateway limits and refuses by key. A key that it limits (429) or that has no credit left (402) or
no permission (403) rests for a while; one that it does not know (401) is set aside for good. With
another key left, one more try is right, and it is made here, inside what the framework counts as
one attempt: with a single key nothing is asked twice.

A key is told from the others by its place in the list, from 1. Nothing here prints one.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, TypeVar

from livekit.agents import APIError, APIStatusError

from .errors import retry_after_of
from .limits import require_positive
from .log import logger
from .pacing import Pacer
from .retry import spread

_T = TypeVar("_T")

MAX_KEYS = 64
"""Keys of one account; more are a mistake in a setting."""

_DIGEST_CHARS = 24


@dataclass(frozen=True, kw_only=True)
class KeyRest:
    """How long a key is left alone, in seconds, when the gateway does not say so itself."""

    limited_s: float = 5.0
    """After 429 without a Retry-After."""
    unpaid_s: float = 300.0
    """After 402: somebody has to pay first."""
    forbidden_s: float = 300.0
    """After 403: somebody has to grant it first."""
    longest_s: float = 3600.0
    """A Retry-After beyond this counts as this. Also how long a 401 is told to other workers."""

    def __post_init__(self) -> None:
        require_positive(self)


class Marks(Protocol):
    """Names that are to be left alone for a while, known to all who share them.

    Both calls return at once, whatever stands behind them.
    """

    def mark(self, name: str, *, down_s: float) -> None:
        """Leave ``name`` alone for so many seconds."""

    def remaining_s(self, name: str) -> float:
        """Seconds for which ``name`` is still to be left alone; 0 or less: it is not."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an account."""

    index: int
    """Its place in the list, from 1: the only name that it has."""
    secret: str = field(repr=False)

    def digest(self, provider: str) -> str:
        """What other workers know it by; it cannot be turned back."""
        text = f"parley key of {provider}\n{self.secret}"
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]


@dataclass(slots=True)
class _State:
    """What is known of a key. Times are monotonic seconds."""

    mark: str
    used: int = 0
    limited_at: float = float("-inf")
    rests_until: float = float("-inf")
    not_before: float = float("-inf")
    """When the gateway itself said that it may be asked again."""
    refused: bool = False


class KeyRing:
    """The keys of one account, in turn.

    Plugins that are given the same ring share what is known of its keys, and its pace.

    Args:
        keys: The keys; blanks around them and empty ones are left out, as are repetitions.
        provider: Whose they are, for logs.
        rest: How long a key is left alone.
        pacer: Spaces requests out; None: they are sent as they come.
        marks: Shared with other workers; None: what is known here stays here.
        clock: Monotonic seconds.
        sleep: Waits the seconds it is given.

    Raises:
        ValueError: There is no key, or there are more than ``MAX_KEYS``.
    """

    def __init__(
        self,
        keys: Collection[str],
        *,
        provider: str,
        rest: KeyRest = KeyRest(),
        pacer: Pacer | None = None,
        marks: Marks | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        secrets = list(dict.fromkeys(key.strip() for key in keys if key.strip()))
        if not 1 <= len(secrets) <= MAX_KEYS:
            raise ValueError(f"1 to {MAX_KEYS} keys are needed, got {len(secrets)}")
        self.provider = provider
        self.pacer = pacer
        self._keys = [Key(index, secret) for index, secret in enumerate(secrets, start=1)]
        self._states = {
            key.index: _State(mark=f"key:{provider}:{key.digest(provider)}") for key in self._keys
        }
        self._rest = rest
        self._marks = marks
        self._clock = clock
        self._sleep = sleep
        self._uses = 0

    def __repr__(self) -> str:
        return f"KeyRing({self.provider}, {len(self._keys)} keys)"

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, *, tried: Collection[int] = ()) -> Key:
        """The key to ask with next.

        The one that was limited the longest time ago, and of those the one used the longest time
        ago. When all rest, the one that rests the shortest; one that was refused only when there is
        no other.

        Args:
            tried: Indexes of keys that this request was refused with already; used all the same
                when there are no others.
        """
        fresh = [key for key in self._keys if key.index not in tried] or self._keys

        def order(key: Key) -> tuple[bool, float, float, int]:
            state = self._states[key.index]
            return state.refused, self._rests_s(state), state.limited_at, state.used

        key = min(fresh, key=order)
        self._uses += 1
        self._states[key.index].used = self._uses
        return key

    def another(self, *, tried: Collection[int]) -> bool:
        """Whether a key is left that was not tried, does not rest and was not refused."""
        return any(
            key.index not in tried
            and not self._states[key.index].refused
            and self._rests_s(self._states[key.index]) <= 0
            for key in self._keys
        )

    def note(self, key: Key, error: APIError) -> bool:
        """Take note of a failure.

        Returns:
            Whether it was about this key, so that another one may do better.
        """
        if not isinstance(error, APIStatusError):
            return False
        state = self._states[key.index]
        after_s = retry_after_of(error)
        match error.status_code:
            case HTTPStatus.UNAUTHORIZED:
                self._refuse(key, state)
                return True
            case HTTPStatus.PAYMENT_REQUIRED:
                rest_s = self._rest.unpaid_s
            case HTTPStatus.FORBIDDEN:
                rest_s = self._rest.forbidden_s
            case HTTPStatus.TOO_MANY_REQUESTS:
                rest_s = self._rest.limited_s
                if self.pacer is not None:
                    self.pacer.limited()
            case _:
                return False
        if after_s is not None:
            rest_s = min(after_s, self._rest.longest_s)
            state.not_before = self._clock() + rest_s
        self._let_rest(key, state, rest_s, status=error.status_code)
        return True

    def judge(self, key: Key | None, error: APIError) -> APIError:
        """Take note of a failure on a connection that was open; the same error, judged anew.

        What this key is refused for another one may be granted, so with one left the error is
        retryable.
        """
        if key is not None and self.note(key, error) and self.another(tried=(key.index,)):
            error.retryable = True
        return error

    async def use(
        self,
        ask: Callable[[Key, float], Awaitable[_T]],
        *,
        within_s: float,
        on_switch: Callable[[APIError], None] = lambda _: None,
    ) -> _T:
        """Ask with one key after the other until one is not refused.

        Args:
            ask: One request, with a key, in the seconds it is given.
            within_s: Seconds that all of it may take, waits for a slot included.
            on_switch: Told of each refusal after which another key is tried.

        Raises:
            APIError: What became of the request. Of several refusals the first that may heal by
                itself, else the last.
        """
        ends_at = self._clock() + within_s
        refusals: list[APIError] = []
        tried: set[int] = set()
        while True:
            if self.pacer is not None:
                await self.pacer.wait(within_s=ends_at - self._clock())
            key = self.take(tried=tried)
            await self._let_pass(key, within_s=ends_at - self._clock())
            try:
                # a key that is refused has used up little of the time; the last gets some anyway
                return await ask(key, max(ends_at - self._clock(), within_s / 10))
            except APIError as exc:
                refusals.append(exc)
            tried.add(key.index)
            if not self.note(key, refusals[-1]) or not self.another(tried=tried):
                break
            on_switch(refusals[-1])
        raise next((error for error in refusals if error.retryable), refusals[-1]) from None

    async def _let_pass(self, key: Key, *, within_s: float) -> None:
        """Wait until the gateway wants to be asked with this key, if that is soon enough.

        A key that rests is only taken when there is no other.
        """
        wait_s = self._states[key.index].not_before - self._clock()
        if 0 < wait_s < within_s:
            await self._sleep(spread(wait_s, most_s=within_s))

    def _rests_s(self, state: _State) -> float:
        shared_s = self._marks.remaining_s(state.mark) if self._marks is not None else 0.0
        return max(0.0, state.rests_until - self._clock(), shared_s)

    def _let_rest(self, key: Key, state: _State, seconds: float, *, status: int) -> None:
        now = self._clock()
        told = self._rests_s(state) > 0
        state.limited_at = now
        state.rests_until = max(state.rests_until, now + seconds)
        if self._marks is not None:
            self._marks.mark(state.mark, down_s=seconds)
        if len(self._keys) > 1 and not told:
            extra = self._extra(key, status) | {"rests_s": round(seconds, 1)}
            logger.warning("key rests", extra=extra)

    def _refuse(self, key: Key, state: _State) -> None:
        if state.refused:
            return
        state.refused = True
        if self._marks is not None:
            self._marks.mark(state.mark, down_s=self._rest.longest_s)
        logger.error("key refused", extra=self._extra(key, HTTPStatus.UNAUTHORIZED.value))

    def _extra(self, key: Key, status: int) -> dict[str, object]:
        return {
            "provider": self.provider,
            "key": key.index,
            "keys": len(self._keys),
            "status": status,
        }
