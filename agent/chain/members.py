"""What the chains of all three stages have in common: members in order, switches, probes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic

from livekit.agents import APIConnectionError, APIError, APITimeoutError
from livekit.agents.utils import aio

from ..observe.events import route_switched
from .route import ChainRoute, P, Stage, in_order
from .settings import ChainSettings

ServedListener = Callable[[Stage, str], None]
"""Told a stage and the name of the route that serves it from now on."""
Probe = Callable[[P, float], Awaitable[None]]
"""Asks a plugin for something small, within so many seconds; raises `APIError` if it fails."""


class Members(Generic[P]):
    """The routes of one chain.

    Args:
        routes: In the configured order, primary first.
        waits: When a route that failed is probed.
        probe: How; routes are probed only where there are others to serve meanwhile.
    """

    def __init__(
        self, routes: Sequence[ChainRoute[P]], *, waits: ChainSettings, probe: Probe[P]
    ) -> None:
        self.routes = tuple(routes)
        self.waits = waits
        self._probe = probe
        self._probing: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[ServedListener] = []
        self._closed = False
        self._unsubscribe = self.routes[0].board.subscribe(self._on_board)

    @property
    def stage(self) -> Stage:
        """What the chain is for."""
        return self.routes[0].stage

    @property
    def only(self) -> ChainRoute[P] | None:
        """The only route, if there is just one: nothing then stands between it and the call."""
        return self.routes[0] if len(self.routes) == 1 else None

    @property
    def first(self) -> ChainRoute[P]:
        """The route that the next request goes to."""
        return next(iter(in_order(self.routes)), self.routes[0])

    def to_ask(self, *, but: Iterable[ChainRoute[P]] = ()) -> list[ChainRoute[P]]:
        """The routes that may be asked now, in order, without some."""
        left_out = {id(route) for route in but}
        return [route for route in in_order(self.routes) if id(route) not in left_out]

    def on_served(self, listener: ServedListener) -> None:
        """Call `listener` whenever it is known which route serves; it must not raise."""
        self._listeners.append(listener)

    def serves(self, route: ChainRoute[P]) -> None:
        """Note that a route has begun to answer a request."""
        for listener in self._listeners:
            listener(self.stage, route.name)

    def switched(
        self, failures: Iterable[tuple[ChainRoute[P], APIError]], to: ChainRoute[P]
    ) -> None:
        """Note that a request of which these routes failed is answered by another."""
        for route, error in failures:
            route_switched(stage=self.stage, failed=route.name, to=to.name, error=error)

    def failed(self, route: ChainRoute[P], error: APIError) -> None:
        """A route failed a request; from now on it is probed until it answers."""
        route.failed(error)
        task = self._probing.get(route.name)
        if self.only is None and not self._closed and (task is None or task.done()):
            self._probing[route.name] = asyncio.create_task(
                self._probe_until_well(route), name=f"probe {route.key}"
            )

    async def aclose(self) -> None:
        """Stop the probes."""
        self._closed = True
        self._unsubscribe()
        await aio.cancel_and_wait(*self._probing.values())

    def _on_board(self, key: str, down: bool) -> None:
        for route in self.routes:
            if route.key == key and not down:
                route.heard_up()

    async def _probe_until_well(self, route: ChainRoute[P]) -> None:
        while True:
            await asyncio.sleep(route.hold.seconds)
            if not route.out_of_order:  # a request went well meanwhile
                return
            if route.begin() and await self._answers(route):
                return

    async def _answers(self, route: ChainRoute[P]) -> bool:
        """Whether a probe of the route goes well; the route knows it then."""
        try:
            async with asyncio.timeout(self.waits.probe_s):
                await self._probe(route.plugin, self.waits.probe_s)
        except asyncio.CancelledError:
            route.abandoned()
            raise
        except Exception as e:
            route.failed(as_api_error(e))
            return False
        route.recovered()
        return True


def as_api_error(error: Exception) -> APIError:
    """What a plugin raised, as an error of a provider: one that has a bug is one that fails."""
    if isinstance(error, APIError):
        return error
    if isinstance(error, TimeoutError):
        return APITimeoutError()
    return APIConnectionError(f"the plugin failed ({type(error).__name__})")
