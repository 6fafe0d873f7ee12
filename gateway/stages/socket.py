"""What every socket stage shares: how it is served, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod

from aiohttp import web

from gateway.errors import EngineUnavailable, ProtocolError, UnknownModel
from gateway.faults.http import open_outlet
from gateway.stages.context import INTERNAL_ERROR, POLICY_VIOLATION, Context, outcome_of
from gateway.stages.outlet import Outgoing, Outlet, SocketOutlet
from gateway.stats import Call, Outcome

logger = logging.getLogger("gateway.socket")

_MAX_CLOSE_REASON_BYTES = 120
"""A close frame holds 125 bytes, two of them the code."""


class SocketStage(ABC):
    """One WebSocket and what is done on it.

    Attributes:
        failure: what a client is told when the engine fails.
    """

    failure = "the engine failed"

    def __init__(
        self, request: web.Request, socket: web.WebSocketResponse, *, context: Context
    ) -> None:
        self._request = request
        self._socket = socket
        self._outlet: Outlet = SocketOutlet(socket)
        self._context = context
        self._limits = context.config.limits

    async def run(self, call: Call) -> None:
        """Serve until the client leaves, asks for the end, or something fails."""
        try:
            self._outlet = await open_outlet(self._request, self._outlet, call)
            await self._serve(call)
        except (ProtocolError, UnknownModel, EngineUnavailable) as error:
            call.outcome = Outcome.ERRORS
            await self._fail(str(error), code="invalid_message", close_code=POLICY_VIOLATION)
        except ConnectionError:
            call.outcome = self._left_by_client()
        except asyncio.CancelledError:  # the connection was lost
            call.outcome = self._left_by_client()
            raise
        except Exception:
            call.outcome = Outcome.ERRORS
            logger.exception("a socket stage failed", extra={"stage": type(self).__name__})
            await self._fail(self.failure, code="engine_error", close_code=INTERNAL_ERROR)
        finally:
            await self._release()

    @abstractmethod
    async def _serve(self, call: Call) -> None:
        """Do the work; state in `call` how it ended."""

    @property
    @abstractmethod
    def _owed(self) -> bool:
        """Whether something that the client asked for was not sent yet."""

    @abstractmethod
    def _encode_error(self, message: str, *, code: str) -> str | None:
        """What is said before closing for an error, if anything."""

    @abstractmethod
    async def _release(self) -> None:
        """Let go of what is held."""

    async def _tell(self, data: str | bytes | None, *, words: int = 0) -> None:
        if data is not None:
            await self._outlet.send(Outgoing(data=data, words=words))

    def _left_by_client(self) -> Outcome:
        return outcome_of(self._socket, owed=self._owed)

    async def _fail(self, message: str, *, code: str, close_code: int) -> None:
        said = self._encode_error(message, code=code)
        if said is not None and not self._socket.closed:
            await self._socket.send_str(said)
        reason = message.encode()[:_MAX_CLOSE_REASON_BYTES]
        await self._socket.close(code=close_code, message=reason)
