"""Answers that are streamed as an HTTP body: sent, counted, and cut off honestly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from aiohttp import web

from gateway.faults.http import open_outlet
from gateway.stages.outlet import AnswerEnded, BodyOutlet, Outgoing
from gateway.stats import Call, Outcome


@contextmanager
def _broken_off(request: web.Request, response: web.StreamResponse) -> Iterator[None]:
    """Cut the connection when an answer fails after it has begun.

    An error response can no longer be sent then, and a proper end would make half an answer look
    whole.
    """
    try:
        yield
    except ConnectionError:
        raise  # cut already
    except Exception:
        if response.prepared and request.transport is not None:
            request.transport.abort()
        raise


async def send_all(
    request: web.Request,
    response: web.StreamResponse,
    events: AsyncGenerator[Outgoing],
    call: Call,
) -> web.StreamResponse:
    """Send events as they come; the headers go out with the first of them."""
    body = BodyOutlet(request, response)
    with _broken_off(request, response):
        try:
            outlet = await open_outlet(request, body, call)
            async with aclosing(events):
                async for event in events:
                    await outlet.send(event)
            await body.end()
        except AnswerEnded:
            return response
    return response


@contextmanager
def counted(call: Call) -> Iterator[None]:
    """State how a request ended: answered, or left by its client; errors are errors."""
    try:
        yield
    except (asyncio.CancelledError, ConnectionError):
        # The server cancels a handler when its client has gone; a write may notice it first.
        call.outcome = Outcome.CLOSED_BY_CLIENT
        raise
    call.outcome = Outcome.COMPLETED
