"""An OpenAI-compatible server for tests, behind the gateway: what it answers is each test's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from aiohttp import web

HOST = "127.0.0.1"


class ModelServer(ABC):
    """Use as an async context manager. `url` is its base URL while it runs."""

    url = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._asked)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a real server has sockets
        self.url = f"http://{HOST}:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @abstractmethod
    async def answer(self, body: bytes, response: web.StreamResponse) -> None:
        """Write events to `response` for a request with this body."""

    async def _asked(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.force_close()  # no connection outlives its test
        body = await request.read()
        await response.prepare(request)
        await self.answer(body, response)
        return response
