"""Sends chat requests on to an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from gateway.config import UpstreamConfig
from gateway.errors import UpstreamError
from gateway.wire.openai_chat import ChatRequest

_PASSED_ON = frozenset({400, 404, 408, 409, 413, 415, 422, 429, 499, 500, 502, 503, 504, 529})
"""Statuses that mean to the client what they meant here. 401 to 403 are not: they are about the
gateway's own key, and the client could do nothing about it."""


class UpstreamAnswer:
    """A response that has begun."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.content_type = response.headers.get("Content-Type", "application/json")

    async def data(self) -> AsyncIterator[bytes]:
        """Return the body as it comes.

        Raises:
            UpstreamError: if it breaks off.
        """
        try:
            async for data in self._response.content.iter_any():
                yield data
        except (aiohttp.ClientError, TimeoutError):
            raise UpstreamError("the language model's answer broke off", status=502) from None


class UpstreamLlm:
    """An OpenAI-compatible server. Its errors never hold its URL or key."""

    def __init__(self, config: UpstreamConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def request(self, request: ChatRequest) -> AsyncIterator[UpstreamAnswer]:
        """Send a request on; leaving the block early cancels it at the server.

        Raises:
            UpstreamError: if the server cannot be reached, refuses, or redirects.
        """
        body = dict(request.body)
        if self._config.model is not None:
            body["model"] = self._config.model
        headers = {"Authorization": f"Bearer {self._config.key}"} if self._config.key else {}
        try:
            response = await self._open_session().post(
                self._config.url.rstrip("/") + "/chat/completions",
                json=body,
                headers=headers,
                # A redirect would carry the key and the conversation to a host nobody chose.
                allow_redirects=False,
            )
        except TimeoutError:
            raise UpstreamError("the language model did not answer in time", status=504) from None
        except (aiohttp.ClientError, ValueError):
            raise UpstreamError("the language model cannot be reached", status=502) from None
        try:
            self._check(response)
            yield UpstreamAnswer(response)
        finally:
            # Not release(): that would read the rest of an answer that nobody wants any more.
            response.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=self._config.connect_timeout_s,
                    sock_read=self._config.read_timeout_s,
                )
            )
        return self._session

    @staticmethod
    def _check(response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status == 200:
            return
        if status in _PASSED_ON:
            raise UpstreamError(
                f"the language model answered {status}",
                status=status,
                retry_after=response.headers.get("Retry-After"),
            )
        if 300 <= status < 400:
            raise UpstreamError("the language model redirects, which is not followed", status=502)
        raise UpstreamError(f"the language model refused the gateway ({status})", status=502)
